// The mails that arrived, read from maildev, and what is in them.
import assert from 'node:assert/strict'

const { API_URL, MAIL_API } = process.env

// The next mail to an address; each is taken once.
export async function mail(to) {
  for (const end = Date.now() + 30000; Date.now() < end; await new Promise((r) => setTimeout(r, 50))) {
    const all = await (await fetch(`${MAIL_API}/email`)).json()
    const found = all.find((m) => m.to.some((t) => t.address === to))
    if (!found) continue
    await fetch(`${MAIL_API}/email/${found.id}`, { method: 'DELETE' })
    const link = found.text.match(/https?:\/\/\S+\/verify\?\S+/)?.[0]
    return {
      subject: found.subject, text: found.text, html: found.html,
      code: found.text.match(/(?:^|: )(\d{6})$/m)?.[1],
      link, query: link && Object.fromEntries(new URL(link).searchParams),
    }
  }
  assert.fail(`no mail to ${to}`)
}

// Opens a mailed link in a browser and presses the button: where it is sent, with what in query and fragment.
export async function press(link) {
  const page = await fetch(API_URL + new URL(link).pathname + new URL(link).search)
  assert.equal(page.status, 200)
  const html = await page.text()
  const field = (name) => html.match(new RegExp(`name="${name}" value="([^"]*)"`))[1].replaceAll('&amp;', '&')
  const sent = await fetch(API_URL + html.match(/action="([^"]*)"/)[1], {
    method: 'POST', redirect: 'manual', headers: { Origin: API_URL },
    body: new URLSearchParams({ type: field('type'), token: field('token'), redirect_to: field('redirect_to') }),
  })
  assert.equal(sent.status, 303)
  const target = new URL(sent.headers.get('location'))
  return { target, query: Object.fromEntries(target.searchParams), fragment: Object.fromEntries(new URLSearchParams(target.hash.slice(1))) }
}
