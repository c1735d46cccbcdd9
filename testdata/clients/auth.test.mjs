// Passwords and sessions through the unmodified @supabase/supabase-js: signing up, in and out, refreshing, changing oneself.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { API_URL, ANON_KEY, EMAIL, PASSWORD } = process.env

const client = (fetch = globalThis.fetch) =>
  createClient(API_URL, ANON_KEY, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
    global: { fetch },
  }).auth

async function signIn(fetch) {
  const auth = client(fetch)
  const { data, error } = await auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
  assert.equal(error, null)
  return { auth, ...data }
}

const ended = async (auth) => (await auth.getUser()).error?.name === 'AuthSessionMissingError' // what the client makes of 401 session_not_found

test('signUp', async () => {
  const made = await client().signUp({ email: 'new@example.com', password: PASSWORD, options: { data: { name: 'New' } } })
  assert.equal(made.error, null)
  assert.deepEqual([made.data.session, made.data.user.email, made.data.user.user_metadata.name], [null, 'new@example.com', 'New'])
  const known = await client().signUp({ email: EMAIL, password: PASSWORD })
  assert.deepEqual([known.error, known.data.session], [null, null])
  assert.deepEqual(Object.keys(known.data.user).sort(), Object.keys(made.data.user).sort())
  const early = await client().signInWithPassword({ email: 'new@example.com', password: PASSWORD })
  assert.deepEqual([early.error.code, early.error.status], ['email_not_confirmed', 400])
  const weak = await client().signUp({ email: 'weak@example.com', password: 'short' })
  assert.deepEqual([weak.error.name, weak.error.code, weak.error.reasons], ['AuthWeakPasswordError', 'weak_password', ['length']])
})

test('signInWithPassword', async () => {
  const auth = client()
  const events = []
  auth.onAuthStateChange((event) => events.push(event))
  const { data, error } = await auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
  assert.equal(error, null)
  assert.equal(data.session.token_type, 'bearer')
  assert.equal((await auth.getUser()).data.user.id, data.user.id)
  assert.equal((await auth.getClaims()).data.claims.session_id.length, 36)
  assert.ok(events.includes('SIGNED_IN'))
  for (const body of [{ email: EMAIL, password: 'wrong' }, { email: 'nobody@example.com', password: PASSWORD }]) {
    const refused = await client().signInWithPassword(body)
    assert.deepEqual([refused.error.code, refused.error.status, refused.error.message], ['invalid_credentials', 400, 'Invalid login credentials'])
  }
})

describe('refreshing', () => {
  test('many at once get the same session', async () => {
    const { session } = await signIn()
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client().refreshSession({ refresh_token: session.refresh_token })),
    )
    assert.deepEqual(answers.map((a) => a.error).filter(Boolean), [])
    const tokens = new Set(answers.map((a) => a.data.session.refresh_token))
    assert.equal(tokens.size, 1)
    assert.ok(!tokens.has(session.refresh_token))
    const auth = client()
    assert.equal((await auth.setSession(answers[0].data.session)).error, null)
    assert.equal((await auth.getUser()).error, null)
  })

  test('an answer that got lost is asked for again', async () => {
    let lost = 0
    const { auth, session } = await signIn(async (url, init) => {
      const answer = await fetch(url, init)
      if (String(url).includes('refresh_token') && lost++ === 0) {
        await answer.arrayBuffer()
        throw new TypeError('the connection broke')
      }
      return answer
    })
    const { data, error } = await auth.refreshSession()
    assert.equal(error, null)
    assert.equal(lost, 2)
    assert.notEqual(data.session.refresh_token, session.refresh_token)
    assert.equal((await auth.getUser()).error, null)
    assert.equal((await auth.refreshSession()).error, null)
  })

  test('an old token ends the session', async () => {
    const { auth, session } = await signIn()
    await auth.refreshSession()
    await auth.refreshSession()
    const replayed = await client().refreshSession({ refresh_token: session.refresh_token })
    assert.equal(replayed.error.code, 'refresh_token_already_used')
    assert.ok(await ended(auth))
    const forged = await client().refreshSession({ refresh_token: session.refresh_token.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')) })
    assert.equal(forged.error.code, 'refresh_token_not_found')
  })
})

describe('signOut', () => {
  for (const [scope, here, there] of [['local', true, false], ['others', false, true], ['global', true, true]]) {
    test(scope, async () => {
      const [one, two] = [await signIn(), await signIn()]
      const second = client() // one that does not know of the end
      await second.setSession(one.session)
      assert.equal((await one.auth.signOut({ scope })).error, null)
      assert.deepEqual([await ended(second), await ended(two.auth)], [here, there])
      const refreshed = await client().refreshSession({ refresh_token: one.session.refresh_token })
      assert.equal(refreshed.error !== null, here)
    })
  }
})

test('updateUser', async () => {
  const [one, two] = [await signIn(), await signIn()]
  const changed = await one.auth.updateUser({ data: { color: 'red', size: 1 } })
  assert.deepEqual([changed.error, changed.data.user.user_metadata.color], [null, 'red'])
  const again = await one.auth.updateUser({ data: { size: null } })
  assert.deepEqual(again.data.user.user_metadata, { color: 'red' })
  assert.equal((await one.auth.updateUser({ password: 'short' })).error.code, 'weak_password')
  assert.equal((await one.auth.updateUser({ password: 'another good password' })).error, null)
  assert.deepEqual([await ended(one.auth), await ended(two.auth)], [false, true])
  assert.equal((await client().signInWithPassword({ email: EMAIL, password: PASSWORD })).error.code, 'invalid_credentials')
  assert.equal((await one.auth.updateUser({ password: PASSWORD })).error, null)
})
