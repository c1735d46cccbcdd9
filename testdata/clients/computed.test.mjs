// Computed columns, computed relationships, domains with casts and aggregates through the unmodified @supabase/supabase-js.
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
after(() => supabase.auth.signOut())

async function rows(query) {
  const { data, error } = await query
  assert.equal(error, null, JSON.stringify(error))
  return data
}

test('computed columns', async () => {
  const people = () => supabase.from('people')
  assert.deepEqual(await rows(people().select('name, shout').like('shout', 'B%')), [{ name: 'Bob', shout: 'BOB' }])
  assert.deepEqual(await rows(people().select('loud:shout').order('shout', { ascending: false }).limit(1)), [{ loud: 'DAN BOBSON' }])
  assert.deepEqual(await rows(supabase.from('tasks').select('facts->length').eq('facts->>length', '5')), [{ length: 5 }])
  const { error } = await people().select('absent')
  assert.equal(error.code, '42703')
})

test('computed relationships', async () => {
  assert.deepEqual(await rows(supabase.from('people').select('name, boss(name), reports(name)').eq('id', 2)), [
    { name: 'Bob', boss: { name: 'Ann' }, reports: [{ name: 'Dan Bobson' }] },
  ])
  assert.deepEqual(await rows(supabase.from('people').select('name, reports!inner(id)').eq('reports.shout', 'CARA')), [
    { name: 'Ann', reports: [{ id: 3 }] },
  ])
  assert.deepEqual(await rows(supabase.from('walls').select('detected:paints!paint_id(name), made:paints(name)').eq('id', 1)), [
    { detected: { name: 'red' }, made: { name: 'none' } },
  ])
})

test('domains with casts', async () => {
  assert.deepEqual(await rows(supabase.from('paints').select('shade').eq('shade', '#FF0000')), [{ shade: '#FF0000' }])
  assert.deepEqual(await rows(supabase.from('paints').insert({ id: 40, shade: '#00FF00' }).select('shade').single()), { shade: '#00FF00' })
  assert.deepEqual(await rows(supabase.from('paints').update({ shade: 'FF' }).in('shade', ['#00FF00']).select('id, shade')), [{ id: 40, shade: '#0000FF' }])
  assert.deepEqual(await rows(supabase.from('paints').delete().eq('id', 40).select('shade')), [{ shade: '#0000FF' }])
})

test('aggregates', async () => {
  const tasks = (select) => supabase.from('tasks').select(select).lt('id', 4)
  assert.deepEqual(await rows(tasks('count(), id.sum(), last:id.max()::text').single()), { count: 3, sum: 6, last: '3' })
  assert.deepEqual(await rows(tasks('project_id, count()').order('project_id')), [
    { project_id: 1, count: 2 },
    { project_id: 2, count: 1 },
  ])
  assert.deepEqual(await rows(supabase.from('projects').select('name, tasks(count())').order('id').limit(2)), [
    { name: 'one', tasks: [{ count: 2 }] },
    { name: 'two', tasks: [{ count: 1 }] },
  ])
  assert.deepEqual(await rows(tasks('done, ...projects(project:name, n:id.count())').not('done', 'is', null).order('done')), [
    { done: false, project: 'one', n: 1 },
    { done: true, project: 'one', n: 1 },
  ])
  const { error } = await supabase.from('projects').select('...tasks(count())')
  assert.equal(error.code, 'PGRST127')
})
