/** Visits the pages of one site, each once: a frontier of pages to visit, and workers that take from it and add to it. */
import { setTimeout as delay } from 'node:timers/promises';
import { LocalQueue } from 'millrace';

const LINK = /<a\s[^>]*href="([^"]*)"/gi;

/**
 * @param {string} start where to begin; links to other sites are not followed
 * @param {{ concurrency?: number, maxDepth?: number, maxPages?: number, pauseMs?: number, timeoutMs?: number }} [limits]
 * @returns {Promise<Map<string, { depth: number, outcome: number | string }>>} the status of each page, or why there is none
 */
export async function crawl(start, limits = {}) {
  const { concurrency = 10, maxDepth = 5, maxPages = 1000, pauseMs = 0, timeoutMs = 5000 } = limits;
  const { origin } = new URL(start);
  const seen = new Map();
  // The workers put in what they find. Were they made to wait for room, nobody would be left to make any: so there
  // is room for every page that they may visit at all.
  const frontier = new LocalQueue({ capacity: maxPages });
  const politely = pace(pauseMs);

  function offer(link, base, depth) {
    if (!URL.canParse(link, base)) return;
    const url = new URL(link, base);
    url.hash = '';
    if (url.origin !== origin || depth > maxDepth || seen.size >= maxPages || seen.has(url.href)) return;
    const page = { url: url.href, depth, outcome: 'not visited' };
    seen.set(page.url, page);
    frontier.tryPut(page);
  }

  async function visit(page) {
    await politely();
    const response = await fetch(page.url, { redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
    const text = await response.text();
    page.outcome = response.status;
    const moved = response.headers.get('location');
    if (moved !== null) offer(moved, page.url, page.depth);
    for (const [, link] of response.ok ? text.matchAll(LINK) : []) offer(link, page.url, page.depth + 1);
  }

  async function worker() {
    for await (const page of frontier) {
      await visit(page).catch((error) => {
        page.outcome = error.name; // one bad page does not end the crawl
      });
      frontier.done();
    }
  }

  offer(start, start, 0);
  const workers = Array.from({ length: concurrency }, worker);
  await frontier.join(); // nothing in the queue and nobody at work, who could still find something
  frontier.close();
  await Promise.all(workers);
  return new Map([...seen.values()].map(({ url, depth, outcome }) => [url, { depth, outcome }]));
}

/** Waits until `pauseMs` have passed since the one before, whoever that was. */
function pace(pauseMs) {
  let next = 0;
  return async () => {
    const now = performance.now();
    const mine = Math.max(now, next);
    next = mine + pauseMs;
    if (mine > now) await delay(mine - now);
  };
}
