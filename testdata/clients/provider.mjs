// A certified OpenID provider on the loopback address, for tests. It prints its issuer and serves until its standard input
// ends. Who comes with login_hint=NAME:verified, NAME:unverified or NAME:none is NAME with such an address, without being
// asked anything; cancel:... is somebody who changes their mind.
//   CLIENT_ID, CLIENT_SECRET   the one client
//   HOST                       what the issuer calls its host, 127.0.0.1 by default
//   ID_TOKEN_CLAIMS=1          the address stands in the ID token, else in the user info
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'

const { CLIENT_ID, CLIENT_SECRET, ID_TOKEN_CLAIMS, HOST = '127.0.0.1' } = process.env
process.env.NODE_ENV ||= 'production'

const server = createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `http://${HOST}:${server.address().port}`

const provider = new Provider(issuer, {
  clients: [{ client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: ['https://example.com/registered'],
    grant_types: ['authorization_code', 'refresh_token'] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'picture'] },
  conformIdTokenClaims: !ID_TOKEN_CLAIMS,
  pkce: { required: () => true, methods: ['S256'] },
  cookies: { keys: ['only for tests'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, sub) => {
    const [name, kind] = sub.split(':')
    const address = kind === 'none' ? {} : { email: `${name}@example.com`, email_verified: kind === 'verified' }
    return { accountId: sub, claims: () => ({ sub, name: `${name} of the provider`, picture: `https://example.com/${name}.png`, ...address }) }
  },
})
// The port of the server under test is not known yet; that both halves of a flow name the same address is still checked.
provider.Client.prototype.redirectUriAllowed = (uri) => /^http:\/\/127\.0\.0\.1:\d+\/auth\/v1\/callback$/.test(uri)

const handle = provider.callback()
server.on('request', async (request, response) => {
  try {
    if (!request.url.startsWith('/interaction/')) return handle(request, response)
    const { prompt, params, grantId, session } = await provider.interactionDetails(request, response)
    const account = params.login_hint ?? 'ann:verified'
    if (account.startsWith('cancel:')) {
      return provider.interactionFinished(request, response, { error: 'access_denied', error_description: 'End-User aborted interaction' })
    }
    if (prompt.name === 'login') {
      return provider.interactionFinished(request, response, { login: { accountId: account } }, { mergeWithLastSubmission: false })
    }
    const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
    grant.addOIDCScope(params.scope)
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
  } catch (error) {
    console.error(error)
    response.writeHead(500).end(String(error))
  }
})
console.log(issuer)
process.stdin.resume().on('end', () => process.exit(0))
