// getClaims of the unmodified @supabase/auth-js: the token is verified in the client, with the keys of our JWKS.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'

const { API_URL, ANON_KEY, EMAIL, PASSWORD } = process.env

const requests = []
const options = {
  auth: { persistSession: false, autoRefreshToken: false },
  realtime: { transport: globalThis.WebSocket ?? class {} }, // unused; node 20 has none
  global: {
    fetch: (url, init) => {
      requests.push(new URL(url).pathname)
      return fetch(url, init)
    },
  },
}

describe('getClaims', () => {
  const client = createClient(API_URL, ANON_KEY, options)
  let token

  test('verifies with the published keys and asks for no user', async () => {
    const login = await client.auth.signInWithPassword({ email: EMAIL, password: PASSWORD })
    assert.equal(login.error, null)
    token = login.data.session.access_token
    requests.length = 0
    const { data, error } = await client.auth.getClaims()
    assert.equal(error, null)
    assert.equal(data.header.alg, 'ES256')
    assert.equal(data.claims.sub, login.data.user.id)
    assert.equal(data.claims.email, EMAIL)
    assert.deepEqual(requests, ['/auth/v1/.well-known/jwks.json'])
  })

  test('refuses a changed token', async () => {
    const [header, payload, signature] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    claims.role = 'service_role'
    const forged = [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
    const { data, error } = await client.auth.getClaims(forged)
    assert.equal(data, null)
    assert.equal(error.code, 'invalid_jwt')
  })

  test('the document shows public halves alone', async () => {
    for (const path of ['/auth/v1', '/api/v1/auth']) {
      const { keys } = await (await fetch(`${API_URL}${path}/.well-known/jwks.json`)).json()
      assert.equal(keys.length, 1)
      assert.deepEqual(Object.keys(keys[0]).sort(), ['alg', 'crv', 'key_ops', 'kid', 'kty', 'use', 'x', 'y'])
    }
  })
})
