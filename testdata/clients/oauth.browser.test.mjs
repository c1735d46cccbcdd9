// A sign-in at a provider on another site, in a real browser: the cookie that binds it comes along when it must.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'

const { API_URL, APP_URL, ISSUER } = process.env
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

if (!existsSync(executablePath)) {
  if (process.env.FLUXBASE_TEST_REQUIRE_ALL) throw new Error(`no browser at ${executablePath}`)
  test('a sign-in at a provider', { skip: `no browser at ${executablePath} (apt-get install chromium, or set CHROMIUM)` }, () => {})
} else {
  // Hosts make a site, ports do not: the API is at 127.0.0.1, the provider and the application at localhost.
  assert.equal(new URL(API_URL).hostname, '127.0.0.1')
  assert.equal(new URL(ISSUER).hostname, 'localhost')
  const authorize = `${API_URL}/auth/v1/authorize?provider=keycloak&login_hint=gina:verified`
  let browser, context, page

  before(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    context = await browser.newContext()
    page = await context.newPage()
  })
  after(() => browser?.close())

  test('there and back', async () => {
    await page.goto(APP_URL)
    await Promise.all([page.waitForURL(/#access_token=/), page.evaluate((url) => { location = url }, authorize)])
    assert.ok(page.url().startsWith(APP_URL), page.url())
    assert.deepEqual(await flowCookies(), [], 'the cookie is gone')
  })
  const flowCookies = async () => (await context.cookies(API_URL)).filter((c) => c.name.startsWith('fluxbase-oauth'))

  // A sign-in that was begun in the browser, and whose answer the provider has given to somebody else.
  const answerOf = async () => {
    let address
    await context.route(`${API_URL}/auth/v1/authorize?**`, async (route) => {
      const response = await route.fetch({ maxRedirects: 0 })
      address = response.headers().location
      await route.fulfill({ contentType: 'text/html', body: '', headers: { 'set-cookie': response.headers()['set-cookie'] } })
    }, { times: 1 })
    await page.goto(authorize)
    const cookies = new Map()
    while (!address.startsWith(`${API_URL}/auth/v1/callback?`)) {
      const response = await fetch(address, { redirect: 'manual', headers: { cookie: [...cookies].map((c) => c.join('=')).join('; ') } })
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
        cookies.set(name, value)
      }
      address = new URL(response.headers.get('location'), address).href
    }
    return address
  }

  // What Apple does: the provider's page posts the answer from its own site, where no cookie of ours comes along.
  test('with an answer that is posted from another site', async () => {
    const answer = new URL(await answerOf())
    assert.deepEqual((await flowCookies()).map((c) => [c.httpOnly, c.sameSite]), [[true, 'Lax']])
    await page.goto(APP_URL)
    const posted = page.waitForRequest((request) => request.method() === 'POST')
    await Promise.all([page.waitForURL(/access_token=|error=/), page.evaluate(([action, fields]) => {
      const form = document.body.appendChild(document.createElement('form'))
      Object.assign(form, { method: 'post', action })
      for (const [name, value] of fields) Object.assign(form.appendChild(document.createElement('input')), { name, value })
      form.submit()
    }, [`${API_URL}/auth/v1/callback`, [...answer.searchParams]])])
    assert.equal((await (await posted).allHeaders()).cookie, undefined, 'no cookie comes with the form')
    assert.match(page.url(), /#access_token=/)
  })

  test('an answer in another browser', async () => {
    const answer = await answerOf()
    const stranger = await (await browser.newContext()).newPage()
    await stranger.goto(answer)
    assert.match(stranger.url(), /error_code=bad_oauth_state/)
    assert.doesNotMatch(stranger.url(), /access_token/)
    await page.goto(answer)
    assert.match(page.url(), /#access_token=/)
  })
}
