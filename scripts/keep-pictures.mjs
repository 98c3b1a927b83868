/** Puts the pictures of the page that the documentation shows into docs/. Look at each before it is committed. */
import { copyFileSync } from 'node:fs';

const KEPT = {
  'page-now-light.png': 'page-now.png',
  'page-now-dark.png': 'page-now-dark.png',
  'page-now-phone.png': 'page-phone.png',
  'page-dead-light.png': 'page-dead.png',
};

for (const [taken, kept] of Object.entries(KEPT)) {
  copyFileSync(
    new URL(`../test/page/.pictures/${taken}`, import.meta.url),
    new URL(`../docs/${kept}`, import.meta.url),
  );
  console.log(`docs/${kept}`);
}
