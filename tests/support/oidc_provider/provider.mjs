// A certified OpenID provider on loopback, for tests: `node provider.mjs PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI`.
// Whoever logs in as dana is the subject `dana` with the address dana@person.test, verified unless the name says not.
import Provider from "oidc-provider";

const [port, client_id, client_secret, redirect_uri] = process.argv.slice(2);

const claimsOf = (login) => ({
  sub: login,
  email: `${login}@person.test`,
  email_verified: !login.startsWith("unverified"),
  name: `${login} of Person`,
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id, client_secret, redirect_uris: [redirect_uri], token_endpoint_auth_method: "client_secret_post" }],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: false, // as Google does: the ID token holds the claims
  cookies: { keys: ["tests"] },
  ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
  findAccount: (ctx, login) => ({ accountId: login, claims: () => claimsOf(login) }),
});
provider.on("server_error", (ctx, error) => console.error(error));
provider.listen(Number(port), "127.0.0.1");
