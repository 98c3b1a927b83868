/** The addresses of the page, below the path at which it is mounted. */

/** A name as a part of a path. `.` and `..` would mean something else there. */
function segment(name: string): string {
  return (/^(\.{0,2}$|~)/.test(name) ? '~' : '') + encodeURIComponent(name);
}

/** The name that {@link segment} wrote; undefined for invalid text. */
export function nameOf(part: string): string | undefined {
  try {
    return decodeURIComponent(part).replace(/^~/, '');
  } catch {
    return undefined;
  }
}

export class Links {
  readonly base: string;

  /** `base`: without a slash at its end. */
  constructor(base: string) {
    this.base = base;
  }

  now(query: Query = {}): string {
    return this.#link('/', query);
  }

  queue(name: string, query: Query = {}): string {
    return this.#link(`/q/${segment(name)}`, query);
  }

  dead(name: string, query: Query = {}): string {
    return this.#link(`/q/${segment(name)}/dead`, query);
  }

  /** A part of the page that is the same for all queues, such as `log`. */
  view(name: string, query: Query = {}): string {
    return this.#link(`/${name}`, query);
  }

  queuePart(name: string, part: string, query: Query = {}): string {
    return this.#link(`/q/${segment(name)}/${part}`, query);
  }

  #link(path: string, query: Query): string {
    const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
    const text = new URLSearchParams(
      set.map(([name, value]): [string, string] => [name, String(value)]),
    ).toString();
    return `${this.base}${path}${text === '' ? '' : `?${text}`}`;
  }
}

/** Undefined and empty values are left out. */
export type Query = Readonly<Record<string, string | number | undefined>>;
