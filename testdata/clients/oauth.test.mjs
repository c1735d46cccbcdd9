// Sign-in at a provider, linking and unlinking through the unmodified @supabase/supabase-js, with a browser made of fetch.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createClient } from '@supabase/supabase-js'

const { API_URL, ANON_KEY, SERVICE_KEY, EMAIL, PASSWORD } = process.env
const app = 'http://localhost:3000/welcome'

function client(flowType, key = ANON_KEY) {
  const store = new Map()
  const storage = { getItem: (k) => store.get(k) ?? null, setItem: (k, v) => void store.set(k, v), removeItem: (k) => void store.delete(k) }
  return createClient(API_URL, key, {
    auth: { flowType, storage, autoRefreshToken: false, detectSessionInUrl: false },
    realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
  }).auth
}

// A browser goes from address to address, keeps each site's cookies, and stops at the application.
async function browse(address, stop = (url) => url.host === 'localhost:3000') {
  const jar = new Map()
  for (let i = 0; i < 20; i++) {
    const url = new URL(address)
    if (stop(url)) return url
    const cookies = jar.get(url.origin) ?? new Map()
    const response = await fetch(url, { redirect: 'manual', headers: { cookie: [...cookies].map((c) => c.join('=')).join('; ') } })
    for (const line of response.headers.getSetCookie()) {
      const [name, ...value] = line.split(';')[0].split('=')
      cookies.set(name, value.join('='))
    }
    jar.set(url.origin, cookies)
    const location = response.headers.get('location')
    assert.ok(location, `${url}: ${response.status} ${await response.text()}`)
    address = new URL(location, url).href
  }
  assert.fail('too many redirects')
}

const signIn = (auth, account, options) =>
  auth.signInWithOAuth({ provider: 'keycloak', options: { redirectTo: app, skipBrowserRedirect: true, queryParams: { login_hint: account }, ...options } })

test('signInWithOAuth with PKCE', async () => {
  const auth = client('pkce')
  const begun = await signIn(auth, 'carl:verified')
  assert.equal(begun.error, null)
  const end = await browse(begun.data.url)
  assert.equal(end.origin + end.pathname, app)
  assert.equal(end.hash, '')
  const code = end.searchParams.get('code')
  const { data, error } = await auth.exchangeCodeForSession(code)
  assert.equal(error, null)
  assert.equal(data.user.email, 'carl@example.com')
  assert.deepEqual(data.user.app_metadata, { provider: 'keycloak', providers: ['keycloak'] })
  assert.equal(data.user.user_metadata.full_name, 'carl of the provider')
  assert.equal((await auth.getUser()).data.user.id, data.user.id)
  assert.equal((await auth.getClaims()).data.claims.amr[0].method, 'oauth')

  // The provider's own token comes once, and works there.
  const info = await fetch(`${process.env.ISSUER}/me`, { headers: { authorization: `Bearer ${data.session.provider_token}` } })
  assert.equal((await info.json()).sub, 'carl:verified')
  assert.equal(data.session.provider_refresh_token, undefined, 'nobody asked for one')
  const refreshed = await auth.refreshSession()
  assert.equal(refreshed.error, null)
  assert.equal(refreshed.data.session.provider_token, undefined)

  const lasting = client('pkce')
  const asked = await signIn(lasting, 'carl:verified', { scopes: 'offline_access', queryParams: { login_hint: 'carl:verified', prompt: 'consent' } })
  const { data: { session } } = await lasting.exchangeCodeForSession((await browse(asked.data.url)).searchParams.get('code'))
  const { ISSUER, CLIENT_ID, CLIENT_SECRET } = process.env
  const renewed = await fetch(`${ISSUER}/token`, {
    method: 'POST',
    headers: { authorization: 'Basic ' + Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64') },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: session.provider_refresh_token }),
  })
  assert.ok((await renewed.json()).access_token)

  await signIn(auth, 'carl:verified')
  assert.equal((await auth.exchangeCodeForSession(code)).error.code, 'flow_state_not_found')
  const thief = client('pkce') // has the code and another verifier
  const again = await browse((await signIn(auth, 'carl:verified')).data.url)
  await signIn(thief, 'eve:verified')
  assert.equal((await thief.exchangeCodeForSession(again.searchParams.get('code'))).error.code, 'bad_code_verifier')
  assert.equal((await auth.exchangeCodeForSession(again.searchParams.get('code'))).error, null)
})

test('signInWithOAuth without PKCE, as the client does by default', async () => {
  const auth = client('implicit')
  const end = await browse((await signIn(auth, 'dora:verified')).data.url)
  const tokens = new URLSearchParams(end.hash.slice(1))
  assert.equal(end.search, '')
  assert.equal(tokens.get('token_type'), 'bearer')
  const { data, error } = await auth.setSession({ access_token: tokens.get('access_token'), refresh_token: tokens.get('refresh_token') })
  assert.equal(error, null)
  assert.equal(data.user.email, 'dora@example.com')
  const info = await fetch(`${process.env.ISSUER}/me`, { headers: { authorization: `Bearer ${tokens.get('provider_token')}` } })
  assert.equal((await info.json()).sub, 'dora:verified')
})

test('a cancelled consent comes back as an error', async () => {
  const auth = client('pkce')
  const end = await browse((await signIn(auth, 'cancel:')).data.url)
  for (const params of [end.searchParams, new URLSearchParams(end.hash.slice(1))]) {
    assert.equal(params.get('error'), 'access_denied')
    assert.equal(params.get('error_code'), 'access_denied')
    assert.match(params.get('error_description'), /cancelled/)
  }
})

// What an app gets from the provider itself; here by the hands of a client of the provider.
async function idToken(account, nonce) {
  const { ISSUER, CLIENT_ID, CLIENT_SECRET } = process.env
  const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
  const redirect_uri = `${API_URL}/auth/v1/callback`
  const request = new URLSearchParams({
    client_id: CLIENT_ID, response_type: 'code', scope: 'openid email profile', redirect_uri, login_hint: account, code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    ...(nonce && { nonce: createHash('sha256').update(nonce).digest('hex') }),
  })
  const back = await browse(`${ISSUER}/auth?${request}`, (url) => url.pathname === '/auth/v1/callback')
  const response = await fetch(`${ISSUER}/token`, {
    method: 'POST',
    headers: { authorization: 'Basic ' + Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64') },
    body: new URLSearchParams({ grant_type: 'authorization_code', code: back.searchParams.get('code'), redirect_uri, code_verifier: verifier }),
  })
  return response.json()
}

test('signInWithIdToken', async () => {
  const auth = client('pkce')
  const { id_token, access_token } = await idToken('emil:verified', 'a nonce')
  const { data, error } = await auth.signInWithIdToken({ provider: 'keycloak', token: id_token, access_token, nonce: 'a nonce' })
  assert.equal(error, null)
  assert.equal(data.user.email, 'emil@example.com')
  const [head, body, signature] = id_token.split('.')
  const claims = JSON.parse(Buffer.from(body, 'base64url'))
  const forged = (changes) => [head, Buffer.from(JSON.stringify({ ...claims, ...changes })).toString('base64url'), signature].join('.')
  const none = [Buffer.from('{"alg":"none"}').toString('base64url'), body, ''].join('.')
  for (const [what, credentials] of Object.entries({
    'another nonce': { token: id_token, nonce: 'another' },
    'no nonce': { token: id_token },
    'another access token': { token: id_token, nonce: 'a nonce', access_token: access_token + 'x' },
    'another subject': { token: forged({ sub: 'ann:verified' }), nonce: 'a nonce' },
    'no signature': { token: none, nonce: 'a nonce' },
    'no token': { token: 'x.y.z' },
  })) {
    const refused = await auth.signInWithIdToken({ provider: 'keycloak', ...credentials })
    assert.equal(refused.error?.code, 'bad_oauth_callback', what)
  }
  assert.equal((await auth.signInWithIdToken({ provider: 'google', token: id_token })).error.code, 'validation_failed')
  const unasked = await idToken('emil:verified')
  assert.equal((await auth.signInWithIdToken({ provider: 'keycloak', token: unasked.id_token, nonce: 'x' })).error.code, 'bad_oauth_callback')
  assert.equal((await auth.signInWithIdToken({ provider: 'keycloak', token: unasked.id_token })).error, null)
})

test('getUserIdentities, linkIdentity, unlinkIdentity', async () => {
  const auth = client('pkce')
  const { data: before } = await auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
  const elsewhere = client('pkce')
  await elsewhere.signInWithPassword({ email: EMAIL, password: PASSWORD })
  const own = await auth.getUserIdentities()
  assert.deepEqual(own.data.identities.map((i) => i.provider), ['email'])
  assert.equal((await auth.unlinkIdentity(own.data.identities[0])).error.code, 'email_conflict_identity_not_deletable')

  const link = async (account, auth_ = auth) => {
    const { data, error } = await auth_.linkIdentity({ provider: 'keycloak', options: { redirectTo: app, queryParams: { login_hint: account } } })
    assert.equal(error, null)
    return browse(data.url)
  }
  let end = await link('work-account:unverified')
  assert.deepEqual((await auth.getUserIdentities()).data.identities.length, 1, 'before the exchange nothing is linked')
  const linked = await auth.exchangeCodeForSession(end.searchParams.get('code'))
  assert.equal(linked.error, null)
  assert.equal(linked.data.user.id, before.user.id)
  assert.deepEqual(linked.data.user.app_metadata.providers, ['email', 'keycloak'])

  // Whoever holds that account signs in here from now on, and nobody else can link it.
  const other = client('pkce')
  const signedIn = await other.exchangeCodeForSession((await browse((await signIn(other, 'work-account:unverified')).data.url)).searchParams.get('code'))
  assert.equal(signedIn.data.user.id, before.user.id)
  const stranger = client('pkce')
  await stranger.exchangeCodeForSession((await browse((await signIn(stranger, 'frida:verified')).data.url)).searchParams.get('code'))
  end = await link('work-account:unverified', stranger)
  assert.equal(end.searchParams.get('error_code'), 'identity_already_exists')
  const { data: alone } = await stranger.getUserIdentities()
  assert.equal((await stranger.unlinkIdentity(alone.identities[0])).error.code, 'single_identity_not_deletable')

  // Somebody else's browser brings a code; without the verifier it links nothing.
  end = await link('victim:verified', stranger)
  const victim = client('pkce')
  await signIn(victim, 'x:verified')
  assert.equal((await victim.exchangeCodeForSession(end.searchParams.get('code'))).error.code, 'bad_code_verifier')
  assert.equal((await stranger.getUserIdentities()).data.identities.length, 1)
  await stranger.signOut({ scope: 'local' })
  const late = client('pkce')
  await late.signInWithPassword({ email: EMAIL, password: PASSWORD })
  const ticket = await late.linkIdentity({ provider: 'keycloak', options: { redirectTo: app, queryParams: { login_hint: 'late:verified' } } })
  const landed = await browse(ticket.data.url)
  await assert.rejects(browse(ticket.data.url), /bad_oauth_state/, 'a ticket is used once')
  const { data: { session } } = await late.getSession()
  await fetch(`${API_URL}/auth/v1/logout?scope=local`, { method: 'POST', headers: { authorization: `Bearer ${session.access_token}` } })
  assert.equal((await late.exchangeCodeForSession(landed.searchParams.get('code'))).error.name, 'AuthSessionMissingError')

  const implicit = client('implicit')
  await implicit.signInWithPassword({ email: EMAIL, password: PASSWORD })
  assert.match((await implicit.linkIdentity({ provider: 'keycloak' })).error.message, /flowType 'pkce'/)
  assert.equal((await client('pkce').linkIdentity({ provider: 'keycloak' })).error.code, 'no_authorization')

  const { id_token } = await idToken('phone-app:none')
  const byToken = await auth.linkIdentity({ provider: 'keycloak', token: id_token })
  assert.equal(byToken.error, null)
  assert.equal(byToken.data.user.id, before.user.id)

  for (const identity of (await auth.getUserIdentities()).data.identities.filter((i) => i.provider === 'keycloak')) {
    assert.equal((await auth.unlinkIdentity(identity)).error, null)
    assert.equal((await auth.unlinkIdentity(identity)).error.code, 'identity_not_found')
  }
  assert.deepEqual((await auth.getUserIdentities()).data.identities.map((i) => i.provider), ['email'])
  assert.equal((await elsewhere.getUser()).error.name, 'AuthSessionMissingError', 'other sessions end with the way in')
})

test('administrators see identities', async () => {
  const { data, error } = await client('implicit', SERVICE_KEY).admin.listUsers()
  assert.equal(error, null)
  assert.ok(data.users.some((u) => u.identities.some((i) => i.provider === 'keycloak')))
})
