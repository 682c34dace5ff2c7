# flipflow with all its tools. Build: docker build -t flipflow . ; run: docker run --rm -it -v "$PWD/runs:/flipflow/runs" flipflow
FROM debian:12-slim

RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make python3 python3-dev python3-venv dataset-fashion-mnist \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /flipflow
COPY . .
RUN make setup
ENV PATH="/flipflow/.venv/bin:${PATH}"

CMD ["make", "demo"]
