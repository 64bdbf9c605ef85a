// The OAuth2 server of oidc.py. Arguments: the file of the package oidc-provider to load, which is installed elsewhere
// than this script; the port. Environment: TTL (seconds an access token lives), FORMAT (jwt or opaque), CLIENT_SECRET.
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const { default: Provider } = await import(pathToFileURL(process.argv[2]));
const port = Number(process.argv[3]);
const ttl = Number(process.env.TTL);
const format = process.env.FORMAT;
const scope = 'api:read api:write';
const audience = 'urn:api';

const machine = { client_secret: process.env.CLIENT_SECRET, scope, redirect_uris: [], response_types: [] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { ...machine, client_id: 'basic', token_endpoint_auth_method: 'client_secret_basic', grant_types: ['client_credentials'] },
    { ...machine, client_id: 'post', token_endpoint_auth_method: 'client_secret_post', grant_types: ['client_credentials'] },
    {
      client_id: 'web',
      client_secret: process.env.CLIENT_SECRET,
      redirect_uris: ['http://127.0.0.1:1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
      scope: `openid offline_access ${scope}`,
    },
  ],
  scopes: ['openid', 'offline_access', 'api:read', 'api:write'],
  ttl: { ClientCredentials: ttl, AccessToken: ttl, RefreshToken: 600, Grant: 600 },
  rotateRefreshToken: true,
  clockTolerance: 0, // the default of 15 s would let expired tokens pass
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope, audience, accessTokenTTL: ttl, accessTokenFormat: format }),
    },
  },
});

// A person would sign in and consent in a browser to get a refresh token. This route stands in for that.
provider.use(async (ctx, next) => {
  if (ctx.method !== 'POST' || ctx.path !== '/test/sign-in') return next();
  const client = await provider.Client.find('web');
  const grant = new provider.Grant({ accountId: 'alice', clientId: 'web' });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(audience, scope);
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId: 'alice', client, grantId, gty: 'authorization_code', scope: `openid offline_access ${scope}`,
    resource: audience, rotations: 0, iiat: Math.floor(Date.now() / 1000),
  });
  ctx.body = { refresh_token: await token.save() };
});

// One line per token request, which oidc.py reads: "granted basic client_credentials".
const told = (event) => (ctx) => console.log(event, ctx.oidc.client?.clientId ?? '-', ctx.oidc.params?.grant_type ?? '-');
provider.on('grant.success', told('granted'));
provider.on('grant.error', told('refused'));
provider.on('server_error', (ctx, error) => console.error(error));

http.createServer(provider.callback()).listen(port, '127.0.0.1');
