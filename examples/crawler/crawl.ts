/** Visits each page of a site once: workers take pages from a queue of pages to visit, and add those that they find. */
import { setTimeout as delay } from 'node:timers/promises';
import { LocalQueue } from 'millrace';
import { type PageContent, readPage } from './page.ts';

export interface Limits {
  /** How many pages are fetched at once. Default: 10. */
  readonly concurrency?: number;
  readonly maxDepth?: number;
  readonly maxPages?: number;
  /** The interval between the starts of two visits. */
  readonly pauseMs?: number;
  /** The time limit for one page. */
  readonly timeoutMs?: number;
  /** Longer pages are only read up to this length. Default: 1,000,000. */
  readonly maxCharacters?: number;
  /** Called with each page that was read. If it throws, that error is the outcome of the page. */
  readonly onPage?: (url: string, page: PageContent) => void | Promise<void>;
}

/** The HTTP status of a page, or the name of the error if there was no response. */
export interface Visit {
  readonly url: string;
  readonly depth: number;
  outcome: number | string;
}

/** Starts at `start`, and does not follow links to other sites. */
export async function crawl(start: string, limits: Limits = {}): Promise<Map<string, Visit>> {
  const { concurrency = 10, maxDepth = 5, maxPages = 1000, pauseMs = 0, timeoutMs = 5000 } = limits;
  const { maxCharacters = 1_000_000, onPage } = limits;
  const { origin } = new URL(start);
  const visits = new Map<string, Visit>();
  // The workers add the pages that they find. If they all waited for room, none would be left to make any, so the queue
  // has room for all pages that may be visited.
  const frontier = new LocalQueue<Visit>({ capacity: maxPages });
  const politely = pace(pauseMs);

  function offer(link: string, base: string, depth: number): void {
    if (!URL.canParse(link, base)) return;
    const url = new URL(link, base);
    url.hash = '';
    if (url.origin !== origin || depth > maxDepth || visits.size >= maxPages || visits.has(url.href)) return;
    const visit = { url: url.href, depth, outcome: 'not visited' };
    visits.set(visit.url, visit);
    frontier.tryPut(visit);
  }

  async function visitPage(visit: Visit): Promise<void> {
    await politely();
    const { url, depth } = visit;
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
    visit.outcome = response.status;
    const moved = response.headers.get('location');
    if (moved !== null) offer(moved, url, depth);
    const type = response.headers.get('content-type') ?? 'text/html';
    if (!response.ok || !type.startsWith('text/html') || response.body === null) {
      await response.body?.cancel();
      return;
    }
    const page = await readPage(response.body.pipeThrough(decoderOf(type)), maxCharacters);
    const base = page.base !== undefined && URL.canParse(page.base, url) ? new URL(page.base, url).href : url;
    for (const link of page.links) offer(link, base, depth + 1);
    await onPage?.(url, page);
  }

  async function worker(): Promise<void> {
    for await (const visit of frontier) {
      await visitPage(visit).catch((error) => {
        visit.outcome = error.name; // one bad page does not end the crawl
      });
      frontier.done();
    }
  }

  offer(start, start, 0);
  const workers = Array.from({ length: concurrency }, worker);
  await frontier.join(); // the queue is empty, and no worker is busy that could still find a page
  frontier.close();
  await Promise.all(workers);
  return visits;
}

/** UTF-8, unless the page declares another encoding that is supported. */
function decoderOf(contentType: string): TextDecoderStream {
  const [, label = 'utf-8'] = /charset="?([\w-]+)/i.exec(contentType) ?? [];
  try {
    return new TextDecoderStream(label);
  } catch {
    return new TextDecoderStream();
  }
}

/** Waits until `pauseMs` have passed since the previous visit of any worker. */
function pace(pauseMs: number): () => Promise<void> {
  let next = 0;
  return async () => {
    const now = performance.now();
    const mine = Math.max(now, next);
    next = mine + pauseMs;
    if (mine > now) await delay(mine - now);
  };
}
