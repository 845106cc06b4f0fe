package sagesim

// tables are applied on every opening; every statement must be harmless when repeated. The engine has some of its own.
//
// Codes, refresh tokens, client secrets and subscription keys are kept as hashes, since they are only ever compared: the
// text of a refresh token can be derived again from its family and number. Access tokens are not kept at all; they are
// signed. Signature secrets are kept as they are, because signatures are computed from them.
// Times are Unix seconds of the simulated clock, but for token_calls.wall.
const tables = `
CREATE TABLE IF NOT EXISTS apps(
	client_id TEXT PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, secret_hash TEXT NOT NULL, redirect_uris TEXT NOT NULL,
	subscription_key_hash TEXT NOT NULL, signature_secret TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS businesses(
	id TEXT PRIMARY KEY, user TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, country TEXT NOT NULL,
	lead INTEGER NOT NULL, active INTEGER NOT NULL, removed INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS businesses_user ON businesses(user, position);
CREATE TABLE IF NOT EXISTS codes(
	hash TEXT PRIMARY KEY, client_id TEXT NOT NULL, user TEXT NOT NULL, scope TEXT NOT NULL, redirect_uri TEXT NOT NULL,
	challenge TEXT NOT NULL, method TEXT NOT NULL, label TEXT NOT NULL, expires_at INTEGER NOT NULL,
	used_at INTEGER NOT NULL, family TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS families(
	id TEXT PRIMARY KEY, client_id TEXT NOT NULL, user TEXT NOT NULL, scope TEXT NOT NULL, legacy INTEGER NOT NULL, site TEXT NOT NULL,
	label TEXT NOT NULL, current INTEGER NOT NULL, current_hash TEXT NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
	created_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS families_label ON families(label);
CREATE TABLE IF NOT EXISTS refresh_tokens(
	hash TEXT PRIMARY KEY, family TEXT NOT NULL, seq INTEGER NOT NULL, expires_at INTEGER NOT NULL, spent_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS token_calls(
	seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, wall INTEGER NOT NULL, grant_type TEXT NOT NULL, client_id TEXT NOT NULL,
	user TEXT NOT NULL, family TEXT NOT NULL, label TEXT NOT NULL, parent INTEGER NOT NULL, issued INTEGER NOT NULL,
	outcome TEXT NOT NULL, fault TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS token_calls_family ON token_calls(family);
CREATE INDEX IF NOT EXISTS token_calls_label ON token_calls(label);
CREATE TABLE IF NOT EXISTS token_counters(name TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS nonces(seq INTEGER PRIMARY KEY AUTOINCREMENT, client_id TEXT NOT NULL, nonce TEXT NOT NULL, UNIQUE(client_id, nonce));
`
