// The administration of users through the unmodified @supabase/supabase-js: auth.admin with a service key.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { API_URL, ANON_KEY, SERVICE_KEY, PASSWORD } = process.env

const options = {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
}
const admin = createClient(API_URL, SERVICE_KEY, options).auth.admin
const anonymous = () => createClient(API_URL, ANON_KEY, options)

describe('auth.admin', () => {
  let id

  test('createUser', async () => {
    const { data, error } = await admin.createUser({
      email: 'new@example.com',
      password: PASSWORD,
      email_confirm: true,
      user_metadata: { name: 'New' },
      app_metadata: { plan: 'pro' },
    })
    assert.equal(error, null)
    id = data.user.id
    assert.equal(data.user.email, 'new@example.com')
    assert.equal(data.user.app_metadata.plan, 'pro')
    assert.ok(data.user.email_confirmed_at)
    const again = await admin.createUser({ email: 'new@example.com' })
    assert.equal(again.error.code, 'email_exists')
    const weak = await admin.createUser({ email: 'weak@example.com', password: 'short' })
    assert.equal(weak.error.code, 'weak_password')
    const login = await anonymous().auth.signInWithPassword({ email: 'new@example.com', password: PASSWORD })
    assert.equal(login.error, null)
  })

  test('getUserById', async () => {
    const { data, error } = await admin.getUserById(id)
    assert.equal(error, null)
    assert.equal(data.user.user_metadata.name, 'New')
    const missing = await admin.getUserById('00000000-0000-4000-8000-0000000000ff')
    assert.equal(missing.error.code, 'user_not_found')
    assert.equal(missing.error.status, 404)
  })

  test('listUsers', async () => {
    for (let n = 0; n < 3; n++) {
      const { error } = await admin.createUser({ email: `page${n}@example.com` })
      assert.equal(error, null)
    }
    const { data, error } = await admin.listUsers({ page: 1, perPage: 2 })
    assert.equal(error, null)
    assert.equal(data.users.length, 2)
    assert.equal(data.nextPage, 2)
    assert.equal(data.lastPage, 3)
    assert.equal(data.total, 5)
    const all = await admin.listUsers()
    assert.equal(all.data.users.length, 5)
  })

  test('updateUserById', async () => {
    const client = anonymous()
    await client.auth.signInWithPassword({ email: 'new@example.com', password: PASSWORD })
    const banned = await admin.updateUserById(id, { ban_duration: '24h', user_metadata: { name: 'Other' } })
    assert.equal(banned.error, null)
    assert.ok(new Date(banned.data.user.banned_until) > new Date())
    assert.equal(banned.data.user.user_metadata.name, 'Other')
    const refused = await client.auth.getUser()
    assert.equal(refused.error.name, 'AuthSessionMissingError') // what the client makes of 401 session_not_found
    const free = await admin.updateUserById(id, { ban_duration: 'none' })
    assert.equal(free.data.user.banned_until, undefined)
  })

  test('signOut with the token of a user', async () => {
    const client = anonymous()
    const { data } = await client.auth.signInWithPassword({ email: 'new@example.com', password: PASSWORD })
    const { error } = await admin.signOut(data.session.access_token, 'global')
    assert.equal(error, null)
    assert.ok((await client.auth.getUser()).error)
  })

  test('deleteUser', async () => {
    const { error } = await admin.deleteUser(id)
    assert.equal(error, null)
    assert.equal((await admin.deleteUser(id)).error.code, 'user_not_found')
  })

  test('others are refused', async () => {
    const { error } = await anonymous().auth.admin.listUsers()
    assert.equal(error.code, 'not_admin')
    assert.equal(error.status, 403)
  })
})
