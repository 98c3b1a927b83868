/** Reads a page as a browser does: any quotes or none, entities, broken markup, and the `<base>` that its links go by. */
import { Parser } from 'htmlparser2';

const UNSEEN = new Set(['script', 'style', 'template', 'noscript']);

export interface PageContent {
  readonly title: string;
  /** What a reader sees, with single spaces between the words. */
  readonly text: string;
  /** As they are written: relative to `base`. */
  readonly links: readonly string[];
  /** Relative to the address of the page; undefined: that address itself. */
  readonly base: string | undefined;
}

/** Takes the page in parts as they come. Reads no more than `maxCharacters` of it. */
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
