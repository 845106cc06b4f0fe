package amazonsim

// tables are applied on every opening; every statement must be harmless when repeated. The engine has some of its own.
//
// Codes, access tokens and client secrets are kept as hashes, since they are only ever compared. Refresh tokens
// are kept as they are: LWA gives the same one back on every refresh (Amazon facts 3.2).
// All times are Unix milliseconds of the simulated clock.
const tables = `
CREATE TABLE IF NOT EXISTS apps(
	application_id TEXT PRIMARY KEY, name TEXT NOT NULL, client_id TEXT, draft INTEGER NOT NULL,
	origin TEXT NOT NULL, redirect_uris TEXT NOT NULL, login_uri TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS apps_client ON apps(client_id) WHERE client_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS secrets(
	client_id TEXT NOT NULL, hash TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
	PRIMARY KEY(client_id, hash));
CREATE TABLE IF NOT EXISTS grants(
	id TEXT PRIMARY KEY, application_id TEXT NOT NULL, seller TEXT NOT NULL, region TEXT NOT NULL, kind TEXT NOT NULL,
	refresh_token TEXT NOT NULL UNIQUE, authorized_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS codes(
	hash TEXT PRIMARY KEY, grant_id TEXT NOT NULL, redirect_uri TEXT NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tokens(
	hash TEXT PRIMARY KEY, kind TEXT NOT NULL, grant_id TEXT NOT NULL, application_id TEXT NOT NULL, client_id TEXT NOT NULL,
	secret_hash TEXT NOT NULL, scope TEXT NOT NULL, resources TEXT NOT NULL, expires_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS tokens_expiry ON tokens(expires_at);
CREATE TABLE IF NOT EXISTS amazon_states(
	hash TEXT PRIMARY KEY, application_id TEXT NOT NULL, seller TEXT NOT NULL, region TEXT NOT NULL,
	expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS buckets(key TEXT PRIMARY KEY, level REAL NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pages(token TEXT PRIMARY KEY, owner TEXT NOT NULL, cursor TEXT NOT NULL, expires_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reports(
	id TEXT PRIMARY KEY, owner TEXT NOT NULL, document_id TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, created_at INTEGER NOT NULL,
	outcome TEXT NOT NULL, cancelled_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sandbox_items(
	seller TEXT NOT NULL, marketplace TEXT NOT NULL, sku TEXT NOT NULL, name TEXT NOT NULL, quantity INTEGER NOT NULL,
	updated_at INTEGER NOT NULL, PRIMARY KEY(seller, marketplace, sku));
CREATE TABLE IF NOT EXISTS sandbox_tokens(seller TEXT NOT NULL, token TEXT NOT NULL, PRIMARY KEY(seller, token));
`
