// A session in cookies, in a real browser: Debian's chromium or the one that CHROMIUM names.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'

const { API_URL, EMAIL, PASSWORD } = process.env
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const api = API_URL.replace('127.0.0.1', 'localhost')

if (!existsSync(executablePath)) {
  if (process.env.FLUXBASE_TEST_REQUIRE_ALL) throw new Error(`no browser at ${executablePath}`)
  test('a session in cookies', { skip: `no browser at ${executablePath} (apt-get install chromium, or set CHROMIUM)` }, () => {})
} else {
  // Pages of others. Ports don't make a site, hosts do: to the API at localhost, the same server is one of the same
  // site as localhost, and another site as 127.0.0.1.
  const form = (action, fields) => `<!doctype html><form method=post action="${action}">
    ${Object.entries(fields).map(([name, value]) => `<input name=${name} value="${value}">`).join('')}<button>send</button></form>`
  const others = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html')
    response.end(form(`${api}/rest/v1/owned`, { id: 7, body: 'by another site' }))
  })
  let browser, context, page, evil, sibling

  before(async () => {
    await new Promise((done) => others.listen(0, done))
    evil = `http://127.0.0.1:${others.address().port}/`
    sibling = `http://localhost:${others.address().port}/`
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    context = await browser.newContext()
    page = await context.newPage()
    // A page at the API's own origin, as a proxy would serve it. The API itself has none.
    await context.route(`${api}/page`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><p>page' }))
    await page.goto(`${api}/page`)
  })
  after(async () => {
    await browser?.close()
    others.close()
  })

  // In the page: asks for a path and returns status and body.
  const ask = (path, options = {}) => page.evaluate(async ([path, { body, ...options }]) => {
    const response = await fetch(path, { ...options, body: body && JSON.stringify(body),
      headers: { ...options.headers, ...(body && { 'Content-Type': 'application/json' }) } })
    const text = await response.text()
    return { status: response.status, body: text && JSON.parse(text) }
  }, [path, options])

  // On a page of somebody else: presses the button of its form and returns the answer's status and code.
  const post = async (address) => {
    const other = await context.newPage()
    await other.goto(address)
    const [response] = await Promise.all([other.waitForResponse(`${api}/rest/v1/owned`), other.click('button')])
    const sent = await response.request().allHeaders()
    const answer = { status: response.status(), cookies: /__Host-fluxbase-access/.test(sent.cookie ?? ''),
      code: JSON.parse(await other.evaluate(() => document.body.innerText)).code }
    await other.close()
    return answer
  }
  const notes = async () => (await ask('/rest/v1/owned?select=body&order=id')).body.map((row) => row.body)

  let token
  test('login sets cookies that scripts do not see', async () => {
    token = (await ask('/api/v1/auth/csrf')).body.csrf_token
    const answer = await ask('/api/v1/auth/login', { method: 'POST', body: { email: EMAIL, password: PASSWORD },
      headers: { 'X-Fluxbase-Session': 'cookie', 'X-CSRF-Token': token } })
    assert.equal(answer.status, 200, JSON.stringify(answer))
    token = answer.body.csrf_token
    assert.equal(await page.evaluate(() => document.cookie), `__Host-fluxbase-csrf=${token}`)
    const kept = Object.fromEntries((await context.cookies(api)).map((cookie) => [cookie.name, cookie]))
    for (const name of ['access', 'refresh']) {
      const { httpOnly, secure, sameSite, path } = kept[`__Host-fluxbase-${name}`]
      assert.deepEqual({ httpOnly, secure, sameSite, path }, { httpOnly: true, secure: true, sameSite: 'Strict', path: '/' })
    }
    assert.equal((await ask('/api/v1/auth/user')).body.email, EMAIL)
  })

  test('a form of our own page is accepted with the token, and not without', async () => {
    for (const [fields, status] of [[{ id: 1, body: 'ours' }, 403], [{ id: 1, body: 'ours', csrf_token: token }, 201]]) {
      await context.route(`${api}/form`, (route) => route.fulfill({ contentType: 'text/html', body: form('/rest/v1/owned', fields) }))
      const own = await context.newPage()
      await own.goto(`${api}/form`)
      const [response] = await Promise.all([own.waitForResponse(`${api}/rest/v1/owned`), own.click('button')])
      assert.equal(response.status(), status)
      await own.close()
      await context.unroute(`${api}/form`)
    }
    assert.deepEqual(await notes(), ['ours'])
  })

  test('a form of another site arrives without the session', async () => {
    const { status, cookies } = await post(evil)
    assert.deepEqual({ status, cookies }, { status: 401, cookies: false })
    assert.deepEqual(await notes(), ['ours'])
  })

  test('a form of the same site, but another origin, is refused', async () => {
    const { status, cookies, code } = await post(sibling)
    assert.deepEqual({ status, cookies, code }, { status: 403, cookies: true, code: 'cross_site_request' })
    assert.deepEqual(await notes(), ['ours'])
  })

  test('another site cannot read the token', async () => {
    const other = await context.newPage()
    for (const address of [evil, sibling]) {
      await other.goto(address)
      const read = await other.evaluate((url) => fetch(url, { credentials: 'include' }).then((r) => r.text(), () => 'nothing'), `${api}/api/v1/auth/csrf`)
      assert.equal(read, 'nothing')
    }
    await other.close()
  })

  test('the session refreshes itself', async () => {
    const refresh = async () => (await context.cookies(api)).find((cookie) => cookie.name === '__Host-fluxbase-refresh')?.value
    const old = await refresh()
    await context.clearCookies({ name: '__Host-fluxbase-access' })
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask('/rest/v1/owned')))
    assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200, 200, 200])
    assert.notEqual(await refresh(), old)
  })

  test('logout takes the cookies away', async () => {
    assert.equal((await ask('/api/v1/auth/logout', { method: 'POST', headers: { 'X-CSRF-Token': token } })).status, 204)
    assert.deepEqual(await context.cookies(api), [])
    assert.equal((await ask('/api/v1/auth/user')).status, 401)
  })
}
