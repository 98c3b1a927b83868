/** A small site with everything that a crawler meets: cycles, missing pages, a page that hangs, one that moved. */
import { createServer, type Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const PAGES = 14;
/** The delay of a distant server. */
const ANSWER_MS = 100;

export function createSite(): Server {
  return createServer(async (request, response) => {
    const url = request.url ?? '';
    const page = Number(/^\/page\/(\d+)$/.exec(url)?.[1] ?? (url === '/' ? 0 : Number.NaN));
    if (url === '/slow') return; // never responds: the time limit of the crawler ends the request
    await delay(ANSWER_MS);
    if (url === '/moved') {
      response.writeHead(302, { location: '/page/1' }).end();
    } else if (page <= PAGES) {
      response.writeHead(200, { 'content-type': 'text/html' }).end(html(page));
    } else {
      response.writeHead(404).end('no such page');
    }
  });
}

/** Each page links to two others and to the first one, some to pages that fail; links are written in various ways. */
function html(page: number): string {
  const wrong =
    page === 3 ? '<a href=/slow>slow</a> <A HREF="/moved">moved</A> <a href=/missing>missing</a>' : '';
  const next = [2 * page + 1, 2 * page + 2].filter((number) => number <= PAGES);
  const links = next.map((number) => `<a href='.&#47;${number}#top'>on</a>`).join(' ');
  return `<!doctype html><title>Page ${page} of the mill &amp; the brook</title><base href="/page/">
    <script>const link = '<a href="/never">';</script>
    <p>The wheel of page ${page} turns. <a class=home href='../'>Home</a> <a href="https://elsewhere.example/">out</a>
    ${links} ${wrong}`;
}
