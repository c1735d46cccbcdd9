// Mailed links and codes through the unmodified @supabase/supabase-js, against a real SMTP server.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'
import { mail, press } from './mailbox.mjs'

const { API_URL, ANON_KEY, SERVICE_KEY, PASSWORD, SITE_URL } = process.env

function client(options = {}, key = ANON_KEY) {
  return createClient(API_URL, key, {
    auth: { persistSession: false, autoRefreshToken: false, ...options },
    realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
  }).auth
}

function ok({ data, error }) {
  assert.equal(error, null)
  return data
}

async function signedIn(auth, email) {
  assert.equal(ok(await auth.getUser()).user.email, email)
}

test('sign-up is confirmed by code', async () => {
  const auth = client()
  const data = ok(await auth.signUp({ email: 'code@example.com', password: PASSWORD, options: { data: { name: 'C' } } }))
  assert.equal(data.session, null)
  assert.equal(data.user.identities.length, 1)
  assert.equal((await auth.signInWithPassword({ email: 'code@example.com', password: PASSWORD })).error.code, 'email_not_confirmed')
  const { code } = await mail('code@example.com')
  assert.equal((await auth.verifyOtp({ email: 'code@example.com', token: '000000x', type: 'email' })).error.code, 'otp_expired')
  const verified = ok(await auth.verifyOtp({ email: 'code@example.com', token: code, type: 'email' }))
  assert.equal(verified.user.user_metadata.name, 'C')
  await signedIn(auth, 'code@example.com')
  assert.equal((await auth.verifyOtp({ email: 'code@example.com', token: code, type: 'email' })).error.code, 'otp_expired')
})

test('sign-up is confirmed by link', async () => {
  const auth = client()
  ok(await auth.signUp({ email: 'link@example.com', password: PASSWORD, options: { emailRedirectTo: `${SITE_URL}/welcome` } }))
  const { link } = await mail('link@example.com')
  await fetch(API_URL + new URL(link).pathname + new URL(link).search) // a scanner
  const { target, fragment } = await press(link)
  assert.equal(target.origin + target.pathname, `${SITE_URL}/welcome`)
  assert.equal(fragment.type, 'signup')
  ok(await auth.setSession(fragment))
  await signedIn(auth, 'link@example.com')
  ok(await auth.refreshSession())
  const { fragment: again } = await press(link)
  assert.equal(again.error_code, 'otp_expired')
  const refused = await auth.signUp({ email: 'x@example.com', password: PASSWORD, options: { emailRedirectTo: 'https://evil.example/' } })
  assert.equal(refused.error.status, 400)
  assert.match(refused.error.message, /evil\.example/)
})

test('recovery', async () => {
  const admin = client({}, SERVICE_KEY).admin
  ok(await admin.createUser({ email: 'lost@example.com', password: PASSWORD, email_confirm: true }))
  const auth = client()
  ok(await auth.resetPasswordForEmail('lost@example.com', { redirectTo: `${SITE_URL}/reset` }))
  ok(await auth.resetPasswordForEmail('nobody@example.com'))
  const { query } = await mail('lost@example.com')
  assert.equal(query.redirect_to, `${SITE_URL}/reset`)
  ok(await auth.verifyOtp({ token_hash: query.token, type: 'recovery' }))
  ok(await auth.updateUser({ password: 'another good password' }))
  assert.match((await mail('lost@example.com')).subject, /password has changed/)
  ok(await client().signInWithPassword({ email: 'lost@example.com', password: 'another good password' }))
})

test('one-time passwords and magic links', async () => {
  const auth = client()
  ok(await auth.signInWithOtp({ email: 'absent@example.com', options: { shouldCreateUser: false } }))
  ok(await auth.signInWithOtp({ email: 'magic@example.com', options: { data: { name: 'M' } } }))
  const { code } = await mail('magic@example.com')
  const data = ok(await auth.verifyOtp({ email: 'magic@example.com', token: code, type: 'email' }))
  assert.equal(data.user.user_metadata.name, 'M')
  ok(await auth.signInWithOtp({ email: 'magic@example.com', options: { shouldCreateUser: false } }))
  const { query } = await mail('magic@example.com')
  ok(await auth.verifyOtp({ token_hash: query.token, type: 'magiclink' }))
  await signedIn(auth, 'magic@example.com')
})

test('PKCE', async () => {
  const auth = client({ flowType: 'pkce' })
  ok(await auth.signInWithOtp({ email: 'pkce@example.com', options: { emailRedirectTo: `${SITE_URL}/back` } }))
  const { query, fragment } = await press((await mail('pkce@example.com')).link)
  assert.deepEqual(fragment, {})
  assert.equal((await client({ flowType: 'pkce' }).exchangeCodeForSession(query.code)).data.session, null)
  const data = ok(await auth.exchangeCodeForSession(query.code))
  assert.equal(data.user.email, 'pkce@example.com')
  await signedIn(auth, 'pkce@example.com')
  ok(await auth.resetPasswordForEmail('pkce@example.com'))
  const back = await press((await mail('pkce@example.com')).link)
  const recovered = ok(await auth.exchangeCodeForSession(back.query.code))
  assert.equal(recovered.redirectType, 'recovery')
})

test('change of address', async () => {
  const auth = client()
  ok(await client({}, SERVICE_KEY).admin.createUser({ email: 'old@example.com', password: PASSWORD, email_confirm: true }))
  ok(await auth.signInWithPassword({ email: 'old@example.com', password: PASSWORD }))
  const { user } = ok(await auth.updateUser({ email: 'new@example.com' }))
  assert.equal(user.new_email, 'new@example.com')
  const first = await mail('old@example.com')
  const { fragment } = await press(first.link)
  assert.match(fragment.message, /other email/)
  const second = await mail('new@example.com')
  ok(await auth.verifyOtp({ email: 'new@example.com', token: second.code, type: 'email_change' }))
  await signedIn(auth, 'new@example.com')
  assert.match((await mail('old@example.com')).subject, /has changed/)
})

test('resend and reauthenticate', async () => {
  const auth = client()
  ok(await auth.signUp({ email: 'again@example.com', password: PASSWORD }))
  const first = await mail('again@example.com')
  ok(await auth.resend({ type: 'signup', email: 'again@example.com' }))
  const second = await mail('again@example.com')
  assert.equal((await auth.verifyOtp({ token_hash: first.query.token, type: 'signup' })).error.code, 'otp_expired')
  ok(await auth.verifyOtp({ token_hash: second.query.token, type: 'signup' }))
  ok(await auth.reauthenticate())
  const { code } = await mail('again@example.com')
  assert.equal((await auth.updateUser({ password: 'another good password', nonce: '000000x' })).error.code, 'reauthentication_not_valid')
  ok(await auth.updateUser({ password: 'another good password', nonce: code }))
})

test('invitations and generated links', async () => {
  const { admin } = client({}, SERVICE_KEY)
  const invited = ok(await admin.inviteUserByEmail('guest@example.com', { data: { name: 'G' }, redirectTo: `${SITE_URL}/in` }))
  assert.equal(invited.user.email, 'guest@example.com')
  const auth = client()
  const { fragment } = await press((await mail('guest@example.com')).link)
  assert.equal(fragment.type, 'invite')
  ok(await auth.setSession(fragment))
  ok(await auth.updateUser({ password: PASSWORD }))
  assert.equal((await admin.inviteUserByEmail('guest@example.com')).error.code, 'email_exists')

  const made = ok(await admin.generateLink({ type: 'signup', email: 'made@example.com', password: PASSWORD }))
  assert.equal(made.user.email, 'made@example.com')
  assert.equal(made.properties.verification_type, 'signup')
  assert.equal(new URL(made.properties.action_link).searchParams.get('token'), made.properties.hashed_token)
  ok(await client().verifyOtp({ token_hash: made.properties.hashed_token, type: 'signup' }))
  const magic = ok(await admin.generateLink({ type: 'magiclink', email: 'made@example.com', options: { redirectTo: `${SITE_URL}/x` } }))
  ok(await client().verifyOtp({ email: 'made@example.com', token: magic.properties.email_otp, type: 'email' }))
  assert.equal((await admin.generateLink({ type: 'recovery', email: 'nobody@example.com' })).error.code, 'user_not_found')
  assert.equal((await client().admin.generateLink({ type: 'recovery', email: 'made@example.com' })).error.status, 403)
})
