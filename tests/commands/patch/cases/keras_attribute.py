# refused: has no plain name
import keras


class Trainer:
    def build(self):
        self.model.compile("sgd", loss="mse")
