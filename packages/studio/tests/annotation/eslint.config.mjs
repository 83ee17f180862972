// ESLint's recommended rules for the annotation page; undefined names are found by tsc.
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';

const { configs } = createRequire(realpathSync(process.argv[1]))('@eslint/js');

export default [
  configs.recommended,
  {
    languageOptions: { ecmaVersion: 2022, sourceType: 'module' },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'max-len': ['error', { code: 200, comments: 120 }],
      'no-undef': 'off', eqeqeq: 'error', 'no-var': 'error', 'prefer-const': 'error', 'no-shadow': 'error', 'no-else-return': 'error',
    },
  },
  { files: ['**/page/*.js'], rules: { 'max-len': ['error', 120] } },
];
