/**
 * The patterns of topic exchanges, as RabbitMQ matches them (https://www.rabbitmq.com/tutorials/tutorial-five-javascript):
 * a key consists of words between dots, `*` stands for exactly one word, `#` for zero or more words. A word may be empty,
 * the empty key has no words, and anything else is literal: `a*` and `**` are ordinary words.
 */
export type TopicPattern = readonly string[];

/** A pattern or a key, ready for {@link matchesTopic}. */
export function topicWords(text: string): TopicPattern {
  return text === '' ? [] : text.split('.');
}

/** Whether the pattern matches the key, both as {@link topicWords}. */
export function matchesTopic(pattern: TopicPattern, key: TopicPattern): boolean {
  let word = 0;
  let part = 0;
  /** The last `#`, and how many words have been matched up to it: it takes one more word if the rest does not match. */
  let lastHash = -1;
  let taken = 0;
  while (word < key.length) {
    if (pattern[part] === '#') {
      lastHash = part++;
      taken = word;
    } else if (part < pattern.length && (pattern[part] === '*' || pattern[part] === key[word])) {
      part++;
      word++;
    } else if (lastHash >= 0) {
      part = lastHash + 1;
      word = ++taken;
    } else {
      return false;
    }
  }
  while (pattern[part] === '#') part++;
  return part === pattern.length;
}
