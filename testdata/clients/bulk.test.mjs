// Bodies and answers of more than a megabyte through the unmodified @supabase/supabase-js.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { API_URL, ANON_KEY, EMAIL, PASSWORD } = process.env
const supabase = createClient(API_URL, ANON_KEY, {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
})

before(async () => {
  const { error } = await supabase.auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
  assert.equal(error, null)
})
after(async () => {
  await supabase.from('projects').delete().gte('id', 1000)
  await supabase.auth.signOut()
})

const many = (count, from = 1000) => Array.from({ length: count }, (_, i) => ({ id: from + i, name: `${i} ${'x'.repeat(60)}` }))

test('a bulk insert, its representation, and an upsert', async () => {
  const inserted = await supabase.from('projects').insert(many(20_000))
  assert.deepEqual([inserted.status, inserted.error, inserted.data], [201, null, null])
  const { count } = await supabase.from('projects').select('id', { count: 'exact', head: true }).gte('id', 1000)
  assert.equal(count, 20_000)
  const again = await supabase.from('projects').upsert(many(20_000, 11_000)).select('id')
  assert.deepEqual([again.status, again.error, again.data.length, again.data.at(-1)], [201, null, 20_000, { id: 30_999 }])
  const ignored = await supabase.from('projects').upsert(many(20_000), { ignoreDuplicates: true }).select('id')
  assert.deepEqual([ignored.error, ignored.data], [null, []])
})

test('an error in its middle leaves nothing', async () => {
  const { error, status } = await supabase.from('projects').insert([...many(20_000, 50_000), { id: 1, name: 'there' }])
  assert.deepEqual([status, error.code], [409, '23505'])
  const { count } = await supabase.from('projects').select('id', { count: 'exact', head: true }).gte('id', 50_000)
  assert.equal(count, 0)
})

test('a large answer, compressed, and not sent again', async () => {
  const rows = many(500, 80_000)
  assert.equal((await supabase.from('projects').insert(rows)).error, null)
  const { data } = await supabase.from('projects').select().gte('id', 80_000).order('id')
  assert.deepEqual(data, rows)
  const { data: { session } } = await supabase.auth.getSession()
  const headers = { apikey: ANON_KEY, Authorization: `Bearer ${session.access_token}` }
  const url = `${API_URL}/rest/v1/projects?id=gte.80000&order=id`
  const first = await fetch(url, { headers })
  assert.deepEqual(await first.json(), rows)
  assert.equal(first.headers.get('content-encoding'), 'gzip')
  const second = await fetch(url, { headers: { ...headers, 'If-None-Match': first.headers.get('etag') } })
  assert.equal(second.status, 304)
})
