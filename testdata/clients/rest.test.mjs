// The data API through the unmodified @supabase/postgrest-js and @supabase/supabase-js.
//
// clienttest starts the server, on a database with testdata/golden/rest/schema.sql, and says where it is. Tests
// that write leave the rows of that file as they are, or work on rows of their own.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { PostgrestClient } from '@supabase/postgrest-js'
import { createClient } from '@supabase/supabase-js'

const { API_URL, ANON_KEY, SERVICE_KEY, EMAIL, PASSWORD } = process.env

const options = {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
}

// One client that is signed in, one that has the key alone, one with a service key, one of PostgREST that has nothing.
const supabase = createClient(API_URL, ANON_KEY, options)
const anonymous = createClient(API_URL, ANON_KEY, options)
const service = createClient(API_URL, SERVICE_KEY, options)
const bare = new PostgrestClient(`${API_URL}/rest/v1`)

before(async () => {
  const { data, error } = await supabase.auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
  assert.equal(error, null)
  assert.equal(data.user.email, EMAIL)
})
after(() => supabase.auth.signOut())

// rows resolves a query that must succeed.
async function rows(query) {
  const { data, error } = await query
  assert.equal(error, null, JSON.stringify(error))
  return data
}

// failure resolves a query that must fail.
async function failure(query) {
  const { data, error, status } = await query
  assert.equal(data, null)
  return { ...error, status }
}

const ids = (list) => list.map((row) => row.id)

describe('reads', () => {
  test('filters', async () => {
    const tasks = () => supabase.from('tasks').select('id').order('id')
    for (const [query, want] of [
      [tasks(), [1, 2, 3]],
      [tasks().eq('id', 1), [1]],
      [tasks().neq('id', 1), [2, 3]],
      [tasks().gt('id', 1).lt('id', 3), [2]],
      [tasks().gte('id', 2), [2, 3]],
      [tasks().lte('id', 2), [1, 2]],
      [tasks().like('name', '%ir%'), [1, 3]],
      [tasks().ilike('name', 'F%'), [1]],
      [tasks().likeAllOf('name', ['%ir%', 'f%']), [1]],
      [tasks().likeAnyOf('name', ['sec%', 'f%']), [1, 2]],
      [tasks().ilikeAnyOf('name', ['SEC%', 'F%']), [1, 2]],
      [tasks().is('done', null), [3]],
      [tasks().is('done', true), [1]],
      [tasks().in('name', ['first', 'a,b']), [1]],
      [tasks().in('id', []), []],
      [tasks().contains('tags', ['a']), [1]],
      [tasks().contains('data', { k: 1 }), [1]],
      [tasks().containedBy('tags', ['a', 'b', 'c']), [1, 2, 3]],
      [tasks().overlaps('tags', ['b', 'c']), [1, 3]],
      [tasks().match({ id: 1, done: true }), [1]],
      [tasks().not('done', 'is', null), [1, 2]],
      [tasks().or('id.eq.1,and(id.gt.2,done.is.null)'), [1, 3]],
      [tasks().filter('name', 'in', '("first","second")'), [1, 2]],
      [tasks().textSearch('name', 'first', { config: 'simple' }), [1]],
      [tasks().textSearch('name', 'first or second', { type: 'websearch', config: 'english' }), [1, 2]],
      [tasks().textSearch('name', 'third quoted', { type: 'phrase' }), [3]],
      [tasks().eq('data->k', 1), [1]],
      [tasks().eq('data->>k', '1'), [1]],
      [tasks().eq('mood', 'sad'), [2]],
    ]) {
      assert.deepEqual(ids(await rows(query)), want, String(query.url))
    }
    const worked = () => supabase.from('people').select('id').order('id')
    for (const [query, want] of [
      [worked().rangeLt('worked', '[2021-06-01,2022-01-01)'), [1]],
      [worked().rangeGt('worked', '[2020-01-01,2020-06-01)'), [2]],
      [worked().rangeAdjacent('worked', '[2022-01-01,2023-01-01)'), [2]],
      [worked().overlaps('worked', '[2020-06-01,2021-06-01)'), [1, 2]],
      [worked().textSearch('search', 'bob'), [2]],
    ]) {
      assert.deepEqual(ids(await rows(query)), want, String(query.url))
    }
  })

  test('columns, aliases, casts and JSON paths', async () => {
    assert.deepEqual(await rows(supabase.from('tasks').select('nr:id, name, price::text, data->k, label:doc->>k').eq('id', 1)), [
      { nr: 1, name: 'first', price: '1.50', k: 1, label: '1' },
    ])
  })

  test('order, limit and range', async () => {
    const query = () => supabase.from('tasks').select('id')
    assert.deepEqual(ids(await rows(query().order('done', { ascending: false, nullsFirst: false }).order('id'))), [1, 2, 3])
    assert.deepEqual(ids(await rows(query().order('id', { ascending: false }).limit(2))), [3, 2])
    assert.deepEqual(ids(await rows(query().order('id').range(1, 2))), [2, 3])
  })

  test('counts', async () => {
    const counted = await supabase.from('tasks').select('id', { count: 'exact' }).order('id').range(0, 1)
    assert.deepEqual([counted.count, counted.status, ids(counted.data)], [3, 206, [1, 2]])
    const head = await supabase.from('tasks').select('*', { count: 'exact', head: true }).gt('id', 1)
    assert.deepEqual([head.count, head.data, head.error], [2, null, null])
    const planned = await supabase.from('tasks').select('id', { count: 'planned' })
    assert.equal(planned.count, 3)
    const beyond = await supabase.from('tasks').select('id', { count: 'exact' }).range(10, 20)
    assert.deepEqual([beyond.status, beyond.error.code], [416, 'PGRST103'])
  })

  test('single and maybeSingle', async () => {
    const one = (id) => supabase.from('tasks').select('id').eq('id', id)
    assert.deepEqual(await rows(one(1).single()), { id: 1 })
    assert.deepEqual(await rows(one(1).maybeSingle()), { id: 1 })
    assert.equal(await rows(one(99).maybeSingle()), null)
    assert.equal((await failure(one(99).single())).code, 'PGRST116')
    assert.equal((await failure(supabase.from('tasks').select('id').maybeSingle())).code, 'PGRST116')
  })

  test('csv and stripped nulls', async () => {
    assert.equal(await rows(supabase.from('projects').select('id, name').order('id').csv()), 'id,name\n1,one\n2,two')
    assert.deepEqual(await rows(supabase.from('tasks').select('id, done').eq('id', 3).stripNulls()), [{ id: 3 }])
  })

  test('another schema', async () => {
    assert.deepEqual(await rows(supabase.schema('other').from('tasks').select('remark')), [])
    assert.equal((await failure(supabase.schema('hidden').from('things').select())).code, 'PGRST106')
  })

  test('errors', async () => {
    for (const [query, status, code] of [
      [supabase.from('nothing').select(), 404, 'PGRST205'],
      [supabase.from('tasks').select('nothing'), 400, '42703'],
      [supabase.from('tasks').select('places(id)'), 400, 'PGRST200'],
      [supabase.from('trips').select('places(id)'), 300, 'PGRST201'],
      [supabase.from('tasks').select().eq('id', 'x'), 400, '22P02'],
      [supabase.from('secrets').select(), 403, '42501'],
      [anonymous.from('secrets').select(), 401, '42501'],
      [bare.from('secrets').select(), 401, '42501'],
    ]) {
      const error = await failure(query)
      assert.deepEqual([error.status, error.code], [status, code], JSON.stringify(error))
      assert.equal(typeof error.message, 'string')
    }
  })
})

describe('embeds', () => {
  test('to one, to many, many to many, one to one', async () => {
    assert.deepEqual(await rows(supabase.from('tasks').select('id, projects(name), people(name), task_details(note)').eq('id', 1)), [
      { id: 1, projects: { name: 'one' }, people: [{ name: 'Ann' }, { name: 'Bob' }], task_details: { note: 'detail of one' } },
    ])
    assert.deepEqual(await rows(supabase.from('projects').select('name, jobs:tasks(nr:id)').eq('id', 2)), [{ name: 'two', jobs: [{ nr: 3 }] }])
  })

  test('recursive', async () => {
    assert.deepEqual(await rows(supabase.from('people').select('name, boss:boss_id(name), reports:people(name)').eq('id', 2)), [
      { name: 'Bob', boss: { name: 'Ann' }, reports: [{ name: 'Dan Bobson' }] },
    ])
  })

  test('hints', async () => {
    assert.deepEqual(await rows(supabase.from('trips').select('from:places!trips_from(name), to:places!to_id(name)').eq('id', 1)), [
      { from: { name: 'Rome' }, to: { name: 'Oslo' } },
    ])
  })

  test('inner joins, filters, order and limit inside', async () => {
    assert.deepEqual(await rows(supabase.from('tasks').select('id, projects!inner(name)').eq('projects.name', 'two')), [{ id: 3, projects: { name: 'two' } }])
    const query = supabase.from('projects').select('name, tasks(id)').eq('id', 1)
    assert.deepEqual(await rows(query.order('id', { referencedTable: 'tasks', ascending: false }).limit(1, { referencedTable: 'tasks' })), [
      { name: 'one', tasks: [{ id: 2 }] },
    ])
    assert.deepEqual(await rows(supabase.from('projects').select('name, tasks(id)').eq('id', 1).or('id.eq.2,name.eq.x', { referencedTable: 'tasks' })), [
      { name: 'one', tasks: [{ id: 2 }] },
    ])
    assert.deepEqual(await rows(supabase.from('shows').select('title, halls()').is('halls', null)), [{ title: 'fourth' }])
  })

  test('how many there are', async () => {
    assert.deepEqual(await rows(supabase.from('projects').select('name, tasks(count)').order('id')), [
      { name: 'one', tasks: [{ count: 2 }] },
      { name: 'two', tasks: [{ count: 1 }] },
    ])
    assert.deepEqual(await rows(supabase.from('tasks').select('count').gt('id', 1).single()), { count: 2 })
  })

  test('spread and order by a related row', async () => {
    assert.deepEqual(await rows(supabase.from('tasks').select('id, ...projects(project:name)').order('projects(name)', { ascending: false }).limit(1)), [
      { id: 3, project: 'two' },
    ])
  })
})

describe('writes', () => {
  test('insert, update, delete', async () => {
    assert.deepEqual(await rows(supabase.from('projects').insert({ id: 100, name: 'a' }).select().single()), { id: 100, name: 'a' })
    const silent = await supabase.from('projects').insert([{ id: 101, name: 'b' }, { id: 102, name: 'c' }])
    assert.deepEqual([silent.status, silent.data, silent.error], [201, null, null])
    assert.deepEqual(await rows(supabase.from('projects').update({ name: 'z' }).gte('id', 101).select('id, name').order('id')), [
      { id: 101, name: 'z' },
      { id: 102, name: 'z' },
    ])
    const gone = await supabase.from('projects').delete({ count: 'exact' }).gte('id', 100)
    assert.deepEqual([gone.status, gone.count], [204, 3])
  })

  test('missing keys', async () => {
    const nulls = await failure(supabase.from('tasks').insert([{ name: 'x', size: 1 }, { size: 2 }]).select('name'))
    assert.equal(nulls.code, '23502')
    const defaults = await rows(supabase.from('tasks').insert([{ name: 'x', size: 7 }, { size: 7 }], { defaultToNull: false }).select('name').order('name'))
    assert.deepEqual(defaults, [{ name: 'unnamed' }, { name: 'x' }])
    await rows(supabase.from('tasks').delete().eq('size', 7))
  })

  test('upsert', async () => {
    assert.deepEqual(await rows(supabase.from('places').upsert([{ id: 1, name: 'Roma' }, { id: 9, name: 'Bern' }]).select().order('id')), [
      { id: 1, name: 'Roma' },
      { id: 9, name: 'Bern' },
    ])
    assert.deepEqual(await rows(supabase.from('places').upsert({ id: 1, name: 'Rome' }, { onConflict: 'id', ignoreDuplicates: true }).select()), [])
    assert.deepEqual(await rows(supabase.from('places').upsert({ id: 1, name: 'Rome' }, { onConflict: 'id' }).select('name')), [{ name: 'Rome' }])
    await rows(supabase.from('places').delete().eq('id', 9))
  })

  test('a write of other than one row is undone', async () => {
    assert.equal((await failure(supabase.from('places').update({ name: 'x' }).gt('id', 0).select().single())).code, 'PGRST116')
    assert.equal((await failure(supabase.from('places').update({ name: 'x' }).gt('id', 0).maxAffected(1))).code, 'PGRST124')
    assert.deepEqual(await rows(supabase.from('places').select('name').order('id')), [{ name: 'Rome' }, { name: 'Oslo' }])
  })

  test('rows belong to their user', async () => {
    const user = (await supabase.auth.getUser()).data.user.id
    assert.deepEqual(await rows(supabase.from('owned').insert({ id: 1, body: 'mine' }).select()), [{ id: 1, owner: user, body: 'mine' }])
    assert.equal((await failure(supabase.from('owned').insert({ id: 2, owner: crypto.randomUUID() }))).code, '42501')
    assert.deepEqual(await rows(service.from('owned').select('id')), [])
    await rows(supabase.from('owned').delete().eq('id', 1))
  })

  test('errors of the database', async () => {
    assert.equal((await failure(supabase.from('projects').insert({ id: 1, name: 'again' }))).code, '23505')
    assert.equal((await failure(supabase.from('tasks').insert({ project_id: 99 }))).code, '23503')
    assert.equal((await failure(anonymous.from('projects').insert({ id: 5, name: 'x' }))).code, '42501')
  })
})

describe('functions', () => {
  test('values, rows and nothing', async () => {
    assert.equal(await rows(supabase.rpc('add', { a: 1, b: 2 })), 3)
    assert.equal(await rows(supabase.rpc('add', { a: 1 }, { get: true })), 11)
    assert.deepEqual(await rows(supabase.rpc('numbers', { n: 3 })), [1, 2, 3])
    assert.equal(await rows(supabase.rpc('add', { a: 1 }).select().limit(1)), 11)
    assert.deepEqual(await rows(supabase.rpc('one_task', { task: 3 }).select('id').range(0, 9)), { id: 3 })
    assert.deepEqual(await rows(supabase.rpc('first_of', { list: [4, 5], p: { a: 1, b: 'x' } })), '4x')
    assert.deepEqual(await rows(supabase.rpc('tasks_of', { project: 1 }).select('id, projects(name)').gt('id', 1)), [{ id: 2, projects: { name: 'one' } }])
    assert.deepEqual(await rows(supabase.rpc('one_task', { task: 3 }).select('id').single()), { id: 3 })
    const nothing = await supabase.rpc('rename', { task: 1, name: 'first' })
    assert.deepEqual([nothing.status, nothing.data, nothing.error], [204, null, null])
    const counted = await supabase.rpc('numbers', { n: 5 }, { count: 'exact' }).limit(2)
    assert.deepEqual([counted.count, counted.data], [5, [1, 2]])
  })

  test('errors', async () => {
    assert.equal((await failure(supabase.rpc('nothing'))).code, 'PGRST202')
    assert.equal((await failure(supabase.rpc('pick', { a: 1 }))).code, 'PGRST203')
    const failed = await failure(supabase.rpc('fails', { code: 'PT418' }))
    assert.deepEqual([failed.status, failed.code, failed.message], [418, 'PT418', 'it failed'])
  })
})
