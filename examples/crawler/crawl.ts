/** Visits the pages of one site, each once: a frontier of pages to visit, and workers that take from it and add to it. */
import { setTimeout as delay } from 'node:timers/promises';
import { LocalQueue } from 'millrace';
import { type PageContent, readPage } from './page.ts';

export interface Limits {
  /** How many pages are fetched at once. Default: 10. */
  readonly concurrency?: number;
  readonly maxDepth?: number;
  readonly maxPages?: number;
  /** Between the beginnings of two visits. */
  readonly pauseMs?: number;
  /** For one page. */
  readonly timeoutMs?: number;
  /** What is longer is read up to here. Default: 1,000,000. */
  readonly maxCharacters?: number;
  /** Called with each page that was found, when it is read. What it throws is the outcome of that page. */
  readonly onPage?: (url: string, page: PageContent) => void | Promise<void>;
}

/** The HTTP status of a page, or the name of the error because of which there is none. */
export interface Visit {
  readonly url: string;
  readonly depth: number;
  outcome: number | string;
}

/** Begins at `start`, and follows no links to other sites. */
export async function crawl(start: string, limits: Limits = {}): Promise<Map<string, Visit>> {
  const { concurrency = 10, maxDepth = 5, maxPages = 1000, pauseMs = 0, timeoutMs = 5000 } = limits;
  const { maxCharacters = 1_000_000, onPage } = limits;
  const { origin } = new URL(start);
  const visits = new Map<string, Visit>();
  // The workers put in what they find. Were they made to wait for room, nobody would be left to make any: so there
  // is room for every page that they may visit at all.
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
  await frontier.join(); // nothing in the queue and nobody at work, who could still find something
  frontier.close();
  await Promise.all(workers);
  return visits;
}

/** UTF-8, unless the page says otherwise in words that are known. */
function decoderOf(contentType: string): TextDecoderStream {
  const [, label = 'utf-8'] = /charset="?([\w-]+)/i.exec(contentType) ?? [];
  try {
    return new TextDecoderStream(label);
  } catch {
    return new TextDecoderStream();
  }
}

/** Waits until `pauseMs` have passed since the one before, whoever that was. */
function pace(pauseMs: number): () => Promise<void> {
  let next = 0;
  return async () => {
    const now = performance.now();
    const mine = Math.max(now, next);
    next = mine + pauseMs;
    if (mine > now) await delay(mine - now);
  };
}
