/** Pattern matching at compile time: the rules of common/definitions/topic-pattern.ts as types. */

type Words<Text extends string> = Text extends ''
  ? []
  : Text extends `${infer Word}.${infer Rest}`
    ? [Word, ...RestOfWords<Rest>]
    : [Text];

/** After a dot there is a word, if only an empty one. */
type RestOfWords<Text extends string> = Text extends `${infer Word}.${infer Rest}`
  ? [Word, ...RestOfWords<Rest>]
  : [Text];

type MatchesWords<Pattern extends string[], Key extends string[]> = Pattern extends [
  infer Part,
  ...infer Parts extends string[],
]
  ? Part extends '#'
    ? MatchesWords<Parts, Key> extends true
      ? true
      : Key extends [string, ...infer Rest extends string[]]
        ? MatchesWords<Pattern, Rest>
        : false
    : Key extends [infer Word, ...infer Rest extends string[]]
      ? Part extends '*' | Word
        ? MatchesWords<Parts, Rest>
        : false
      : false
  : Key extends []
    ? true
    : false;

type Matches<Pattern extends string, Key extends string> = Pattern extends string
  ? string extends Pattern
    ? true
    : MatchesWords<Words<Pattern>, Words<Key>>
  : never;

/** The names among `Name` that one of the patterns matches; all of them if a pattern is not known to the compiler. */
export type Matching<Pattern extends string, Name extends string> = Name extends string
  ? true extends Matches<Pattern, Name>
    ? Name
    : never
  : never;

/** The pattern itself, or an error text, to which no pattern can be assigned. */
export type Checked<Pattern extends string, Name extends string> = Pattern extends string
  ? [Matching<Pattern, Name>] extends [never]
    ? `no event of the topic matches '${Pattern}'`
    : Pattern
  : never;
