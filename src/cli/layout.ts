/** Measures, cuts and wraps text for a terminal. */

/** Scripts and symbols that terminals draw two columns wide. */
const WIDE =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
/** Combining marks, joiners and variation selectors, which take no column. */
const ZERO = /^[\p{Mn}\p{Me}\p{Cf}]/u;

/** The width of a text in columns. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

export function padTo(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

/** Cuts a text to `width` columns, the last of which is an ellipsis. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let left = width - 1;
  let end = 0;
  for (const character of text) {
    left -= columnsOf(character);
    if (left < 0) break;
    end += character.length;
  }
  return `${text.slice(0, end)}…`;
}

/** Cuts the middle out of a name: those that begin alike differ at the end. */
export function cutName(name: string, width: number): string {
  if (widthOf(name) <= width || width < 3) return cut(name, width);
  const characters = [...name];
  let left = Math.floor((width - 1) / 2);
  let begin = characters.length;
  while (left >= columnsOf(characters[begin - 1] ?? '')) left -= columnsOf(characters[--begin] ?? '');
  const end = characters.slice(begin).join('');
  return cut(name, width - widthOf(end)) + end;
}

/** Wraps the lines of a text between words, at `width` columns. */
export function wrap(text: string, width: number): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, width))
    .join('\n');
}

function wrapLine(line: string, width: number): string {
  if (widthOf(line) <= width) return line;
  const rows: string[] = [];
  let row = '';
  // Each word with the spaces before it, so that columns in a line stay aligned.
  for (const word of line.split(/(?<=\S)(?= )/)) {
    if (row !== '' && widthOf(row + word) > width) {
      rows.push(row);
      row = word.trimStart();
    } else row += word;
  }
  return [...rows, row].join('\n');
}

function columnsOf(character: string): number {
  if (character >= ' ' && character <= '~') return 1;
  if (ZERO.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
