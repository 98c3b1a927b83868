/**
 * Hides the passwords of all the URLs in a text. What the toolkit reports is masked already; this is for what the
 * user typed, which a usage error quotes.
 */
export function maskPasswords(text: string): string {
  // An address ends at the comma that separates it from the next; its last @ ends the password.
  return text.replace(/([a-z][a-z\d+.-]*:\/\/[^\s,:/?#@]*):[^\s,]*@/gi, '$1:***@');
}
