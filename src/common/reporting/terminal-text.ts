/** Untrusted text, made safe for a terminal. */

/** Scripts whose words need joiners inside. */
const JOINED = String.raw`(?:(?!\p{Default_Ignorable_Code_Point})[\p{scx=Arab}\p{scx=Syrc}\p{scx=Mong}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}\p{scx=Gujr}\p{scx=Orya}\p{scx=Taml}\p{scx=Telu}\p{scx=Knda}\p{scx=Mlym}\p{scx=Sinh}\p{scx=Khmr}\p{scx=Mymr}])`;

/**
 * Characters that control a terminal, reorder its text or can't be seen: C0 except tab and line feed, DEL, C1 (which
 * acts like ESC), bidirectional controls, separators that some programs treat as line ends, and characters that Unicode
 * makes invisible, such as zero-width spaces, which make two different ids look alike. Joiners and selectors stay where
 * scripts and emojis need them.
 */
export const CONTROLS = new RegExp(
  [
    String.raw`(?![\t\n])\p{Cc}`,
    String.raw`[\p{Bidi_Control}\p{Zl}\p{Zp}\ufff9-\ufffb]`,
    String.raw`(?![\u200c\u200d\ufe0e\ufe0f])\p{Default_Ignorable_Code_Point}`,
    String.raw`(?<!\p{Emoji})[\ufe0e\ufe0f]`,
    String.raw`(?<!${JOINED})\u200c`,
    String.raw`\u200c(?!${JOINED})`,
    String.raw`(?<!${JOINED}|\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f)\u200d`,
    String.raw`\u200d(?!${JOINED}|\p{Extended_Pictographic})`,
  ].join('|'),
  'gu',
);

/** Text that needs no escaping. */
const PLAIN = /^[\t\n\x20-\x7e]*$/;

function escapeOf(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code < 0x100) return hex(code);
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}

export function hex(code: number): string {
  return `\\x${code.toString(16).padStart(2, '0')}`;
}

/**
 * Makes text safe for a terminal: shows controls and invisible characters as `\xNN` or `\uNNNN`, except line feeds and
 * tabs.
 */
export function escapeControls(text: string): string {
  return PLAIN.test(text) ? text : text.replace(CONTROLS, escapeOf);
}

/** Like {@link escapeControls}, but turns line ends into spaces, so that quoted text can't look like another line. */
export function onOneLine(text: string): string {
  const [first = '', ...others] = text.split(/[\r\n]+/);
  if (others.length === 0) return escapeControls(first);
  const parts = [first.trimEnd(), ...others.map((part) => part.trim())];
  return escapeControls(parts.filter((part, index) => index === 0 || part !== '').join(' '));
}
