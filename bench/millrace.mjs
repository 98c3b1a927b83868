// The built package, as it is shipped: `npm run build` in the root makes it.
export * from '../dist/index.js';
