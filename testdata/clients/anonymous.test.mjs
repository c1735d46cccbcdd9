// Users without an address through the unmodified @supabase/supabase-js: they come, write, and stay who they are.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'
import { mail } from './mailbox.mjs'

const { API_URL, ANON_KEY, PASSWORD } = process.env

const db = createClient(API_URL, ANON_KEY, {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
})

test('sign in, write, become a member', async () => {
  const came = await db.auth.signInAnonymously({ options: { data: { color: 'red' } } })
  assert.equal(came.error, null)
  const { id } = came.data.user
  assert.equal(came.data.user.is_anonymous, true)
  assert.equal((await db.auth.getClaims()).data.claims.is_anonymous, true)
  const written = await db.from('owned').insert({ id: 900, body: 'mine' }).select('body')
  assert.deepEqual([written.error, written.data], [null, [{ body: 'mine' }]])

  const refused = await db.auth.updateUser({ password: PASSWORD })
  assert.equal(refused.error.status, 422)
  const asked = await db.auth.updateUser({ email: 'member@example.com' })
  assert.deepEqual([asked.error, asked.data.user.is_anonymous], [null, true])
  const { code } = await mail('member@example.com')
  const verified = await db.auth.verifyOtp({ email: 'member@example.com', token: code, type: 'email_change' })
  assert.equal(verified.error, null)
  assert.deepEqual([verified.data.user.id, verified.data.user.is_anonymous, verified.data.user.email], [id, false, 'member@example.com'])
  assert.equal((await db.auth.updateUser({ password: PASSWORD })).error, null)
  assert.equal((await db.auth.signInWithPassword({ email: 'member@example.com', password: PASSWORD })).data.user.id, id)
  assert.deepEqual((await db.from('owned').select('body')).data, [{ body: 'mine' }])
})
