package clarasim

// tables are applied on every opening; every statement must be harmless when repeated. The engine has some of its own.
//
// Secrets and private keys are kept as they are: unlike Clara, which shows them once, the simulator gives a download again. Access
// tokens are not kept at all; they are signed. Times are Unix seconds of the simulated clock, but for token_calls.wall.
const tables = `
CREATE TABLE IF NOT EXISTS projects(
	client_id TEXT PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, country TEXT NOT NULL, side TEXT NOT NULL,
	permissions TEXT NOT NULL, tax_identifiers TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
	generation INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS credentials(
	client_id TEXT NOT NULL, n INTEGER NOT NULL, secret TEXT NOT NULL, certificate TEXT NOT NULL, private_key TEXT NOT NULL,
	ca TEXT NOT NULL, fingerprint TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, created_at INTEGER NOT NULL,
	deleted_at INTEGER NOT NULL, PRIMARY KEY(client_id, n));
CREATE INDEX IF NOT EXISTS credentials_fingerprint ON credentials(fingerprint);
CREATE TABLE IF NOT EXISTS handshakes(
	fingerprint TEXT NOT NULL, version TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(fingerprint, version));
CREATE TABLE IF NOT EXISTS token_calls(
	seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, wall INTEGER NOT NULL, country TEXT NOT NULL, client_id TEXT NOT NULL,
	credential INTEGER NOT NULL, fingerprint TEXT NOT NULL, grant_type TEXT NOT NULL, outcome TEXT NOT NULL, why TEXT NOT NULL,
	fault TEXT NOT NULL, expires_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS requests(seq INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);
`
