// An OAuth server of other people's making, behind mutual TLS, for the test in shared/provider/clara.
//
// The argument: our simulator and our adapter come from the same hands and could share a mistake. The token endpoint here
// is oidc-provider's, which implements RFC 8705, and what is read is guarded after that document (3, 3.1) by the library
// jose. The test gives certificates and clients as one line of JSON on the standard input; this program says its port as
// one line, and ends when its input does, so it outlives nobody.

import { createHash } from 'node:crypto';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import { Provider } from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
process.stdin.on('end', () => process.exit(0));
const given = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);

const server = createServer({
  cert: given.certificate, key: given.key, ca: given.client_authority, requestCert: true, rejectUnauthorized: true,
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const { port } = server.address();
const issuer = `https://127.0.0.1:${port}`;
const audience = `${issuer}/api`;

const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const signing = { ...await exportJWK(privateKey), kid: 'one', use: 'sig', alg: 'RS256' };
const { kty, n, e, kid, use, alg } = signing;

const provider = new Provider(issuer, {
  clients: given.clients.map((client) => ({
    redirect_uris: [], response_types: [], grant_types: ['client_credentials'], tls_client_certificate_bound_access_tokens: true, ...client,
  })),
  clientAuthMethods: ['client_secret_basic', 'tls_client_auth'],
  jwks: { keys: [signing] },
  routes: { token: '/oauth/token' },
  ttl: { ClientCredentials: 600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => property === 'tls_client_auth_subject_dn'
        && ctx.socket.getPeerX509Certificate().subject === expected,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      getResourceServerInfo: () => ({ scope: '', audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256', kid: 'one' } } }),
    },
  },
});

const keys = createLocalJWKSet({ keys: [{ kty, n, e, kid, use, alg }] });

// guard lets through whose token is of this server and bound to the certificate of this very connection.
async function guard(request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Bearer') throw new Error('no token');
  const { payload } = await jwtVerify(token, keys, { issuer, audience });
  const shown = createHash('sha256').update(request.socket.getPeerX509Certificate().raw).digest('base64url');
  if (payload.cnf?.['x5t#S256'] !== shown) throw new Error('the token is bound to another certificate');
}

const oauth = provider.callback();
server.on('request', async (request, response) => {
  if (!request.url.startsWith('/api/')) {
    oauth(request, response);
    return;
  }
  try {
    await guard(request);
    response.writeHead(200, { 'Content-Type': 'application/json' }).end('[{"uuid":"00000000-0000-4000-8000-000000000001"}]');
  } catch (problem) {
    response.writeHead(401, { 'Content-Type': 'application/json', 'WWW-Authenticate': 'Bearer error="invalid_token"' })
      .end(JSON.stringify({ error: 'invalid_token', message: problem.message }));
  }
});

console.log(JSON.stringify({ port }));
