/** Interprets the content encoding of a message. */

/** The supported compressions. */
export type Compression = 'gzip' | 'deflate' | 'br' | 'zstd';

const COMPRESSIONS: ReadonlyMap<string, Compression> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
]);

/** Labels that name no compression: none at all, or the character set of a text. */
const NOT_ENCODED =
  /^(identity|none|binary|base|raw|[78]-?bit|plain|text|(us-?)?ascii|utf-?(8|16|32)(-?[bl]e)?|ucs-?[24]|unicode|iso-?8859-?\d+|latin-?\d|(windows|cp)-?\d+|koi8-?[ru]|gb\d+|gbk|big5|euc-?(jp|kr|tw)|shift[-_]?jis|charset=.*)$/;

/** Other clients combine several labels, such as `gzip:UTF-8` in Spring AMQP. */
const SEPARATORS = /[\s,;:]+/;

/** How many compressions may be applied to a body in sequence. */
const MAX_COMPRESSIONS = 3;

/**
 * The compressions that were applied to a body, in that order; none if the label names none. Undefined for any other
 * label, which only the codec can understand.
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
