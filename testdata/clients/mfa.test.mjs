// Second factors through the unmodified @supabase/supabase-js: auth.mfa.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createClient } from '@supabase/supabase-js'

const { API_URL, ANON_KEY, SERVICE_KEY, EMAIL, PASSWORD } = process.env

const options = {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
}

async function signIn() {
  const { auth } = createClient(API_URL, ANON_KEY, options)
  const { data, error } = await auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
  assert.equal(error, null)
  return { auth, user: data.user, session: data.session }
}

// What an authenticator app shows (RFC 6238), some steps of 30 seconds on.
function code(secret, steps = 0) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps))
  const mac = createHmac('sha1', key).update(counter).digest()
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0')
}

async function level(auth) {
  const { data, error } = await auth.mfa.getAuthenticatorAssuranceLevel()
  assert.equal(error, null)
  return [data.currentLevel, data.nextLevel, data.currentAuthenticationMethods.map((m) => m.method).join(' ')]
}

test('enroll, challenge, verify, list, unenroll', async () => {
  const { auth, session } = await signIn()
  assert.deepEqual(await level(auth), ['aal1', 'aal1', 'password'])

  const enrolled = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone', issuer: 'Acme' })
  assert.equal(enrolled.error, null)
  const { id, totp } = enrolled.data
  assert.equal(enrolled.data.type, 'totp')
  assert.equal(enrolled.data.friendly_name, 'phone')
  assert.match(totp.qr_code, /^data:image\/svg\+xml;utf-8,<svg [^#]*<\/svg>$/)
  assert.ok(totp.uri.startsWith('otpauth://totp/Acme:') && totp.uri.includes(`secret=${totp.secret}&`))
  const unverified = await auth.mfa.listFactors()
  assert.deepEqual([unverified.data.all.length, unverified.data.totp.length], [1, 0])

  const challenge = await auth.mfa.challenge({ factorId: id })
  assert.equal(challenge.error, null)
  assert.equal(challenge.data.type, 'totp')
  assert.ok(challenge.data.expires_at > Date.now() / 1000)
  const wrong = await auth.mfa.verify({ factorId: id, challengeId: challenge.data.id, code: 'nonsense' })
  assert.equal(wrong.error.code, 'mfa_verification_failed')
  const verified = await auth.mfa.verify({ factorId: id, challengeId: challenge.data.id, code: code(totp.secret) })
  assert.equal(verified.error, null)
  assert.equal(verified.data.user.factors[0].status, 'verified')
  assert.deepEqual(await level(auth), ['aal2', 'aal2', 'totp password'])
  const claims = await auth.getClaims()
  assert.equal(claims.data.claims.aal, 'aal2')
  const kept = JSON.parse(Buffer.from(session.access_token.split('.')[1], 'base64url').toString())
  assert.equal(claims.data.claims.session_id, kept.session_id)
  const refreshed = await auth.refreshSession()
  assert.equal(refreshed.error, null)
  assert.deepEqual(await level(auth), ['aal2', 'aal2', 'totp password'])

  const second = await signIn()
  assert.deepEqual(await level(second.auth), ['aal1', 'aal2', 'password'])
  const refused = await second.auth.mfa.unenroll({ factorId: id })
  assert.equal(refused.error.code, 'insufficient_aal')
  const replayed = await second.auth.mfa.challengeAndVerify({ factorId: id, code: code(totp.secret, -1) })
  assert.equal(replayed.error.code, 'mfa_verification_failed')
  const raised = await second.auth.mfa.challengeAndVerify({ factorId: id, code: code(totp.secret, 1) })
  assert.equal(raised.error, null)

  const conflict = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' })
  assert.equal(conflict.error.code, 'mfa_factor_name_conflict')
  const phone = await auth.mfa.enroll({ factorType: 'phone', phone: '+1' })
  assert.equal(phone.error.code, 'mfa_phone_enroll_not_enabled')
  const missing = await auth.mfa.challenge({ factorId: '00000000-0000-4000-8000-0000000000ff' })
  assert.equal(missing.error.code, 'mfa_factor_not_found')

  const removed = await auth.mfa.unenroll({ factorId: id })
  assert.equal(removed.error, null)
  assert.equal(removed.data.id, id)
  assert.equal((await auth.mfa.listFactors()).data.all.length, 0)
  await auth.refreshSession()
  assert.equal((await level(auth))[0], 'aal1')
})

// The client has no call for recovery codes; its tokens are good for ours.
test('recovery codes', async () => {
  const { auth } = await signIn()
  const ask = async (method, path, body) => {
    const { data } = await auth.getSession()
    const answer = await fetch(`${API_URL}/auth/v1/factors/recovery-codes${path}`, {
      method,
      headers: { authorization: `Bearer ${data.session.access_token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    })
    return answer.json()
  }
  const { data } = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' })
  assert.equal((await auth.mfa.challengeAndVerify({ factorId: data.id, code: code(data.totp.secret) })).error, null)
  const { codes } = await ask('POST', '')
  assert.equal(codes.length, 10)

  await auth.signOut()
  await auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
  assert.deepEqual(await level(auth), ['aal1', 'aal2', 'password'])
  const raised = await ask('POST', '/verify', { code: codes[0] })
  assert.equal((await auth.setSession(raised)).error, null)
  assert.deepEqual((await level(auth)).slice(0, 2), ['aal2', 'aal2'])
  assert.equal((await ask('POST', '/verify', { code: codes[0] })).error_code, 'mfa_verification_failed')
  assert.equal((await ask('GET', '')).remaining, 9)
  assert.equal((await auth.mfa.unenroll({ factorId: data.id })).error, null)
})

test('administrators list and remove factors', async () => {
  const { auth, user } = await signIn()
  const admin = createClient(API_URL, SERVICE_KEY, options).auth.admin
  const { data } = await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'lost phone' })
  assert.equal((await auth.mfa.challengeAndVerify({ factorId: data.id, code: code(data.totp.secret) })).error, null)

  const listed = await admin.mfa.listFactors({ userId: user.id })
  assert.equal(listed.error, null)
  assert.deepEqual(
    listed.data.factors.map((f) => [f.id, f.factor_type, f.friendly_name, f.status, 'secret' in f]),
    [[data.id, 'totp', 'lost phone', 'verified', false]],
  )
  const removed = await admin.mfa.deleteFactor({ id: data.id, userId: user.id })
  assert.deepEqual([removed.error, removed.data.data.id], [null, data.id]) // the client wraps this answer twice
  assert.deepEqual((await admin.mfa.listFactors({ userId: user.id })).data.factors, [])
  assert.equal((await auth.getUser()).error.name, 'AuthSessionMissingError') // the session that it had raised
  assert.equal((await admin.mfa.deleteFactor({ id: data.id, userId: user.id })).error.code, 'mfa_factor_not_found')
  assert.equal((await auth.admin.mfa.listFactors({ userId: user.id })).error.status, 403)
  const missing = await admin.mfa.listFactors({ userId: '00000000-0000-4000-8000-0000000000ff' })
  assert.equal(missing.error.code, 'user_not_found')
})
