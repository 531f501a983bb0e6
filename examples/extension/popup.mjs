// SPDX-License-Identifier: Apache-2.0
// popup.mjs: sends the prompt to the service worker and shows the text as it comes.
const text = document.getElementById('text');

document.getElementById('form').addEventListener('submit', (event) => {
  event.preventDefault();
  text.textContent = '';
  delete text.dataset.state;
  const port = chrome.runtime.connect();
  port.onMessage.addListener((message) => {
    if (message.text) text.textContent += message.text;
    if (message.error) text.textContent += message.error;
    if (!message.done && !message.error) return;
    text.dataset.state = message.done ? 'done' : 'error';
    port.disconnect();
  });
  port.postMessage({ prompt: document.getElementById('prompt').value });
});
