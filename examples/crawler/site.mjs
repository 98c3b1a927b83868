/** A small site with all that a crawler meets: circles, missing pages, pages that never come, a page that moved. */
import { createServer } from 'node:http';

const PAGES = 30;

export function createSite() {
  return createServer((request, response) => {
    const page = Number(/^\/page\/(\d+)$/.exec(request.url)?.[1] ?? (request.url === '/' ? 0 : Number.NaN));
    if (request.url === '/moved') {
      response.writeHead(302, { location: '/page/1' }).end();
    } else if (request.url === '/slow') {
      // It never answers: the time limit of the crawler is what ends this.
    } else if (page <= PAGES) {
      response.writeHead(200, { 'content-type': 'text/html' }).end(linksOf(page).join('\n'));
    } else {
      response.writeHead(404).end('no such page');
    }
  });
}

/** Each page links to two further ones, back to the first one, and some to what goes wrong. */
function linksOf(page) {
  const links = ['/', `/page/${2 * page + 1}#top`, `/page/${2 * page + 2}`, 'https://elsewhere.example/'];
  if (page === 3) links.push('/slow', '/moved', '/missing');
  return links.map((link) => `<a href="${link}">${link}</a>`);
}
