// The OAuth 2.0 token endpoint of the deployment test: oidc-provider with client credentials and tokens that live a few seconds.
//
// usage: node token-endpoint.mjs LIFETIME_SECONDS
// Prints its port. Beside the provider's own paths: GET /check answers 204 for a bearer token that lives and 401 for any other,
// GET /issued how many tokens were given out.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const lifetime = Number(process.argv[2]);
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: 'forwarder',
        client_secret: 'a secret: with /+%&= signs',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    ttl: { ClientCredentials: lifetime },
  });
  let issued = 0;
  provider.on('grant.success', () => (issued += 1));
  const callback = provider.callback();
  server.on('request', async (request, response) => {
    if (request.url === '/check') {
      const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '');
      const token = bearer && (await provider.ClientCredentials.find(bearer[1]));
      response.writeHead(token?.isValid ? 204 : 401).end();
    } else if (request.url === '/issued') {
      response.end(String(issued));
    } else {
      callback(request, response);
    }
  });
  console.log(port);
});
