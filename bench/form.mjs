// SPDX-License-Identifier: Apache-2.0
document.querySelector('button')?.addEventListener('click', () => {});
