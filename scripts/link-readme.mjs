/**
 * `node scripts/link-readme.mjs https://host/owner/name v1.2.3`: makes the links of README.md absolute, to the files of
 * that tag, for a page that has no other files of the repository.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * @param {string} text
 * @param {string} repository
 * @param {string} tag
 */
export function withAbsoluteLinks(text, repository, tag) {
  return text.replaceAll(
    /(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)/g,
    (_link, image, label, path) =>
      `${image}[${label}](${repository}/${image === '' ? 'blob' : 'raw'}/${tag}/${path})`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , repository = '', tag = ''] = process.argv;
  if (!/^https:\/\/[^/]+\/[^/]+\/[^/]+$/.test(repository) || tag === '')
    throw new Error(`a repository and a tag expected, instead: '${repository}' '${tag}'`);
  const readme = new URL('../README.md', import.meta.url);
  writeFileSync(readme, withAbsoluteLinks(readFileSync(readme, 'utf8'), repository, tag));
}
