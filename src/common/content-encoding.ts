/** What a message's content encoding says of its body. */

/** Compressions that a message may be sent with. */
export type Compression = 'gzip' | 'deflate' | 'br' | 'zstd';

const COMPRESSIONS: ReadonlyMap<string, Compression> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
]);

/** Labels that say nothing about a compression: none at all, or the character set of a text. */
const NOT_ENCODED =
  /^(identity|none|binary|base|raw|[78]-?bit|plain|text|(us-?)?ascii|utf-?(8|16|32)(-?[bl]e)?|ucs-?[24]|unicode|iso-?8859-?\d+|latin-?\d|(windows|cp)-?\d+|koi8-?[ru]|gb\d+|gbk|big5|euc-?(jp|kr|tw)|shift[-_]?jis|charset=.*)$/;

/** Messages of other clients carry their labels in one, as `gzip:UTF-8` of Spring AMQP. */
const SEPARATORS = /[\s,;:]+/;

/** How often a body may be compressed over. */
const MAX_COMPRESSIONS = 3;

/**
 * With what a body was compressed, in that order: nothing for a label that says nothing of the kind. Undefined for a label
 * that says something else, which only the codec can know.
 */
export function compressionsIn(contentEncoding: string): readonly Compression[] | undefined {
  const compressions: Compression[] = [];
  for (const label of contentEncoding.toLowerCase().split(SEPARATORS)) {
    const compression = COMPRESSIONS.get(label);
    if (compression !== undefined) compressions.push(compression);
    else if (label !== '' && !NOT_ENCODED.test(label)) return undefined;
  }
  return compressions.length <= MAX_COMPRESSIONS ? compressions : undefined;
}
