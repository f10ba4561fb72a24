"""Documents to word ids, as tf.contrib.learn.preprocessing did. Imports TensorFlow only to read and write files."""

from __future__ import annotations

import collections
import itertools
import pickle
import re

import numpy as np

_TOKEN = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+(?=[A-Z])|[\'\w\-]+", re.UNICODE)


def tokenizer(iterator):
    """The words of each document."""
    for value in iterator:
        yield _TOKEN.findall(value)


class CategoricalVocabulary:
    """Ids of categories; 0 is what is not known."""

    def __init__(self, unknown_token="<UNK>", support_reverse=True):
        self._unknown_token = unknown_token
        self._mapping = {unknown_token: 0}
        self._support_reverse = support_reverse
        self._reverse_mapping = [unknown_token]
        self._freq: dict = collections.defaultdict(int)
        self._freeze = False

    def __len__(self):
        return len(self._mapping)

    def freeze(self, freeze=True):
        """No new categories from here on: what is not known is 0."""
        self._freeze = freeze

    def get(self, category):
        """The id of a category, a new one if it has none and the vocabulary is not frozen."""
        if category not in self._mapping:
            if self._freeze:
                return 0
            self._mapping[category] = len(self._mapping)
            if self._support_reverse:
                self._reverse_mapping.append(category)
        return self._mapping[category]

    def add(self, category, count=1):
        """Counts a category."""
        if self.get(category) > 0:
            self._freq[category] += count

    def trim(self, min_frequency, max_frequency=-1):
        """Keeps categories seen more than `min_frequency` times and less than `max_frequency`, most frequent first."""
        ranked = sorted(sorted(self._freq.items()), key=lambda item: -item[1])
        kept = [(c, n) for c, n in ranked if n > min_frequency and not 0 < max_frequency <= n]
        names = [self._unknown_token, *(category for category, _ in kept)]
        self._mapping = {category: i for i, category in enumerate(names)}
        if self._support_reverse:
            self._reverse_mapping = names
        self._freq = dict(kept)

    def reverse(self, class_id):
        """The category of an id."""
        if not self._support_reverse:
            raise ValueError("This vocabulary wasn't initialized with support_reverse to support reverse() function.")
        return self._reverse_mapping[class_id]


class ByteProcessor:
    """Documents to bytes, cut or filled up to a length."""

    def __init__(self, max_document_length):
        self.max_document_length = max_document_length

    def fit(self, x):
        """Does nothing."""

    def fit_transform(self, x):
        return self.transform(x)

    def transform(self, x):
        """Yields an array of byte ids for each document."""
        for document in x:
            text = document.encode("utf-8") if isinstance(document, str) else document
            ids = np.frombuffer(text[: self.max_document_length], dtype=np.uint8)
            yield np.pad(ids, (0, self.max_document_length - len(ids)), "constant")

    def reverse(self, x):
        """Yields the text of each row of byte ids; empty where it is no UTF-8."""
        for ids in x:
            try:
                yield np.trim_zeros(ids.astype(np.int8), trim="b").tobytes().decode("utf-8")
            except UnicodeDecodeError:
                yield ""


class VocabularyProcessor:
    """Documents to rows of word ids, [max_document_length], int64; 0 fills up and is what is not known."""

    def __init__(self, max_document_length, min_frequency=0, vocabulary=None, tokenizer_fn=None):
        self.max_document_length = max_document_length
        self.min_frequency = min_frequency
        self.vocabulary_ = vocabulary or CategoricalVocabulary()
        self._tokenizer = tokenizer_fn or tokenizer

    def fit(self, raw_documents, unused_y=None):
        """Learns the vocabulary, and freezes it; returns self."""
        for tokens in self._tokenizer(raw_documents):
            for token in tokens:
                self.vocabulary_.add(token)
        if self.min_frequency > 0:
            self.vocabulary_.trim(self.min_frequency)
        self.vocabulary_.freeze()
        return self

    def fit_transform(self, raw_documents, unused_y=None):
        """fit, then transform."""
        self.fit(raw_documents)
        return self.transform(raw_documents)

    def transform(self, raw_documents):
        """Yields the ids of each document."""
        for tokens in self._tokenizer(raw_documents):
            ids = np.zeros(self.max_document_length, np.int64)
            for i, token in enumerate(itertools.islice(tokens, self.max_document_length)):
                ids[i] = self.vocabulary_.get(token)
            yield ids

    def reverse(self, documents):
        """Yields the words of each row of ids."""
        for ids in documents:
            yield " ".join(self.vocabulary_.reverse(i) for i in ids)

    def save(self, filename):
        """Writes the processor as a pickle."""
        from tensorflow.compat.v1 import gfile

        with gfile.Open(filename, "wb") as file:
            file.write(pickle.dumps(self))

    @classmethod
    def restore(cls, filename):
        """Reads what save() wrote, also what TF 1.15's did."""
        from tensorflow.compat.v1 import gfile

        with gfile.Open(filename, "rb") as file:
            return pickle.loads(file.read())
