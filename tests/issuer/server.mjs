// An OAuth 2.0 issuer and an API that takes its tokens: oidc-provider with the client-credentials grant, whose opaque tokens
// live for LIFETIME_SECONDS.
//
// usage: node server.mjs LIFETIME_SECONDS
// Prints its port. The provider's paths (POST /token, ...), and beside them:
//   POST /v1/events  takes a JSON array from whoever bears a token that lives: 200, else 401
//   POST /revoke     makes every token that was issued invalid
//   POST /rotate     gives the client the secret that is the body
//   GET /counts      {"issued":n,"refusals":n,"events":n,"unauthorized":n}
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import Provider from 'oidc-provider';

const lifetime = Number(process.argv[2]);
const counts = { issued: 0, refusals: 0, events: 0, unauthorized: 0 };
const client = {
  client_id: 'forwarder:client',
  client_secret: 'a secret: with /+%&= signs',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: 'client_secret_basic',
};
const issued = new Set();
const stored = new Map();

// Keeps in memory what the provider asks it to; the client is looked up anew for each request, so that its secret can change.
class Memory {
  constructor(model) {
    this.model = model;
  }
  key(id) {
    return `${this.model}:${id}`;
  }
  async find(id) {
    return this.model === 'Client' ? (id === client.client_id ? { ...client } : undefined) : stored.get(this.key(id));
  }
  async upsert(id, payload) {
    stored.set(this.key(id), payload);
    if (this.model === 'ClientCredentials') issued.add(this.key(id));
  }
  async destroy(id) {
    stored.delete(this.key(id));
  }
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    adapter: Memory,
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    scopes: ['events:write'],
    ttl: { ClientCredentials: lifetime },
  });
  provider.on('grant.success', () => (counts.issued += 1));
  provider.on('grant.error', () => (counts.refusals += 1));
  const callback = provider.callback();
  const own = {
    'POST /v1/events': async (request) => {
      const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '');
      const events = JSON.parse(await text(request));
      const token = bearer && (await provider.ClientCredentials.find(bearer[1]));
      if (!token?.isValid) {
        counts.unauthorized += 1;
        return [401, { 'www-authenticate': 'Bearer error="invalid_token"' }];
      }
      counts.events += events.length;
      return [200];
    },
    'POST /revoke': async () => {
      issued.forEach((key) => stored.delete(key));
      return [204];
    },
    'POST /rotate': async (request) => {
      client.client_secret = await text(request);
      return [204];
    },
    'GET /counts': async () => [200, { 'content-type': 'application/json' }, JSON.stringify(counts)],
  };
  server.on('request', async (request, response) => {
    const answer = own[`${request.method} ${request.url}`];
    if (!answer) return callback(request, response);
    const [status, headers = {}, body = ''] = await answer(request);
    response.writeHead(status, headers).end(body);
  });
  console.log(port);
});
