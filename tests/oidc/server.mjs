// A real OpenID Connect server for tests. It tells its address, then obeys the lines that it reads: `token ALGORITHM AUDIENCE`
// gets a token as a client does, `rotate` starts it anew with a fresh key for each algorithm, which is listed beside the old one,
// and `drop` without the old ones.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const KINDS = [
  ['ES256', 'ec', { namedCurve: 'P-256' }],
  ['RS256', 'rsa', { modulusLength: 2048 }],
  ['PS256', 'rsa', { modulusLength: 2048 }],
  ['EdDSA', 'ed25519', {}],
];
const fresh = () =>
  KINDS.map(([alg, kind, options]) => ({
    ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: randomUUID(),
  }));

let keys = fresh();
let callback;
const server = createServer((request, response) => callback(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

function start() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: 'desk', client_secret: 'desk-secret', grant_types: ['client_credentials'], redirect_uris: [],
      response_types: [], token_endpoint_auth_method: 'client_secret_post',
    }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        // The resource names the algorithm and the audience.
        getResourceServerInfo: (_context, resource) => {
          const url = new URL(resource);
          const audience = url.origin;
          return { scope: 'crm', audience, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: url.pathname.slice(1) } } };
        },
      },
    },
    extraTokenClaims: () => ({ realm_access: { roles: ['crm-support', 'offline_access'] } }),
  });
  callback = provider.callback();
}

async function token(algorithm, audience) {
  const { token_endpoint } = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const answer = await fetch(token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials', client_id: 'desk', client_secret: 'desk-secret', scope: 'crm',
      resource: `${audience}/${algorithm}`,
    }),
  });
  const body = await answer.json();
  return body.access_token ?? JSON.stringify(body);
}

start();
console.log(issuer);
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...rest] = line.split(' ');
  if (command === 'token') {
    console.log(await token(...rest));
  } else {
    keys = command === 'rotate' ? [...fresh(), ...keys] : keys.slice(0, KINDS.length);
    start();
    console.log('done');
  }
}
server.close();
server.closeAllConnections();
