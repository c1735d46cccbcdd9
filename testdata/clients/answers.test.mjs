// What SQL and preferences say about answers, through the unmodified @supabase/supabase-js: status, errors, writes that
// are undone, plans, formats. The server lets clients decide about transactions and shows plans.
import { after, before, describe, test } from 'node:test'
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
after(() => supabase.auth.signOut())

// authorized asks below the data API, past the client's reading of answers.
async function authorized(path, init = {}) {
  const { data } = await supabase.auth.getSession()
  return fetch(`${API_URL}/rest/v1/${path}`, { ...init, headers: { Authorization: `Bearer ${data.session.access_token}`, ...init.headers } })
}

describe('answers', () => {
  test('status and headers', async () => {
    const made = await supabase.rpc('answer', { status: '202' })
    assert.deepEqual([made.status, made.data, made.error], [202, 'x', null])
    const refused = await supabase.rpc('answer', { status: 'no status' })
    assert.deepEqual([refused.status, refused.error.code], [500, 'PGRST112'])
    const split = await supabase.rpc('answer', { headers: '[{"X-A": "b\\r\\nSet-Cookie: c=d"}]' })
    assert.deepEqual([split.status, split.error.code], [500, 'PGRST111'])
    const answer = await authorized('rpc/answer', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ headers: '[{"X-Mine": "sql"}, {"Content-Security-Policy": "default-src *"}, {"Access-Control-Allow-Origin": "*"}]' }),
    })
    assert.equal(answer.headers.get('x-mine'), 'sql')
    assert.ok(!answer.headers.get('content-security-policy').includes('*'))
    assert.equal(answer.headers.get('access-control-allow-origin'), null)
  })

  test('errors', async () => {
    const message = JSON.stringify({ code: 'QUOTA', message: 'Quota exceeded', hint: 'Upgrade' })
    const { error, status } = await supabase.rpc('fail_with', { message, detail: JSON.stringify({ status: 402, headers: {} }) })
    assert.deepEqual([status, error.code, error.message, error.hint], [402, 'QUOTA', 'Quota exceeded', 'Upgrade'])
    const broken = await supabase.rpc('fail_with', { message: 'no JSON', detail: '{}' })
    assert.deepEqual([broken.status, broken.error.code], [500, 'PGRST121'])
  })

  test('a write that is undone', async () => {
    const tried = await supabase.from('places').insert({ id: 500, name: 'Atlantis' }).select().rollback()
    assert.deepEqual([tried.status, tried.data, tried.error], [201, [{ id: 500, name: 'Atlantis' }], null])
    assert.deepEqual((await supabase.from('places').select('id').eq('id', 500)).data, [])
  })

  test('plans', async () => {
    const text = await supabase.from('tasks').select('id').eq('id', 1).explain()
    assert.match(text.data, /^Aggregate/)
    const json = await supabase.from('tasks').select('id').eq('id', 1).explain({ format: 'json', analyze: true, verbose: true })
    assert.equal(typeof json.data[0].Plan['Actual Rows'], 'number')
  })

  test('formats', async () => {
    const geo = await supabase.from('places').select().geojson()
    assert.deepEqual([geo.status, geo.error.code], [406, 'PGRST107']) // no PostGIS here
    const page = await authorized('rpc/page?title=x', { headers: { Accept: 'text/html' } })
    assert.deepEqual([page.headers.get('content-type'), await page.text()], ['text/html', '<h1>x</h1>'])
    const bytes = await authorized('places?order=id', { headers: { Accept: 'application/vnd.ids' } })
    assert.deepEqual([...new Uint8Array(await bytes.arrayBuffer())], [1, 2])
  })

  test('what there is', async () => {
    const options = await authorized('open_tasks', { method: 'OPTIONS' })
    assert.equal(options.headers.get('allow'), 'OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE')
    const root = await (await authorized('')).json()
    assert.equal(root.swagger, '2.0')
    assert.ok(root.paths['/tasks'].get && !root.paths['/secrets'])
  })
})
