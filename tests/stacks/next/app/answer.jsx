'use client';
import { useEffect, useState } from 'react';
import { answerOnServer } from './actions.js';
import { run } from './run.js';

export function Answer() {
    const [text, setText] = useState('');
    useEffect(() => {
        Promise.all([run('/model.gguf'), answerOnServer()]).then(([result, action]) => {
            window.result = { ...result, action };
            setText(result.text);
        });
    }, []);
    return <p>{text}</p>;
}
