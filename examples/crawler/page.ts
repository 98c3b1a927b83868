/** Reads a page as a browser does: any quotes or none, entities, broken markup, and the `<base>` of its links. */
import { Parser } from 'htmlparser2';

const UNSEEN = new Set(['script', 'style', 'template', 'noscript']);

export interface PageContent {
  readonly title: string;
  /** The visible text, with single spaces between words. */
  readonly text: string;
  /** The links as written, relative to `base`. */
  readonly links: readonly string[];
  /** Relative to the address of the page; undefined stands for that address. */
  readonly base: string | undefined;
}

/** Parses the page as its parts arrive, up to `maxCharacters`. */
export async function readPage(parts: AsyncIterable<string>, maxCharacters: number): Promise<PageContent> {
  const links: string[] = [];
  const words: string[] = [];
  let [title, base]: [string, string | undefined] = ['', undefined];
  const inside: string[] = [];
  const parser = new Parser({
    onopentag(name, { href }) {
      inside.push(name);
      if (href === undefined) return;
      if (name === 'a' || name === 'area') links.push(href);
      else if (name === 'base') base ??= href;
    },
    onclosetag() {
      inside.pop();
    },
    ontext(text) {
      if (inside.at(-1) === 'title') title += text;
      else if (!inside.some((name) => UNSEEN.has(name))) words.push(text);
    },
  });
  let read = 0;
  for await (const part of parts) {
    parser.write(part.slice(0, maxCharacters - read));
    read += part.length;
    if (read >= maxCharacters) break;
  }
  parser.end();
  const plain = (text: string) => text.replaceAll(/\s+/g, ' ').trim();
  return { title: plain(title), text: plain(words.join('')), links, base };
}
