// Runs the model in this folder with ONNX Runtime, on the CPU.
//
//   ./build/client                     the test data in this folder
//   ./build/client x.npy               your own inputs, one .npy file for each
//   ./build/client --output results    writes what comes out, as .npy files

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "model.hpp"
#include "npy.hpp"

namespace fs = std::filesystem;

struct Options {
  fs::path folder = ".";
  fs::path output;
  int threads = 1;
  int calls = 100;
  std::vector<fs::path> arrays;
};

struct Set {
  std::string name;
  std::vector<npy::Array> inputs, expected;
};

const char* const usage =
    "client [INPUT.npy …] [--output FOLDER] [--folder FOLDER] [--threads N] [--calls N]\n";

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--help" || word == "-h") {
      std::cout << usage;
      std::exit(0);
    }
    if (word.rfind("--", 0) != 0) {
      options.arrays.emplace_back(word);
      continue;
    }
    if (i + 1 == count) throw std::runtime_error(word + " needs a value\n" + usage);
    const std::string value = words[++i];
    if (word == "--output") options.output = value;
    else if (word == "--folder") options.folder = value;
    else if (word == "--threads") options.threads = std::stoi(value);
    else if (word == "--calls") options.calls = std::stoi(value);
    else throw std::runtime_error("there is no " + word + "\n" + usage);
  }
  return options;
}

std::vector<npy::Array> read(const fs::path& folder, const std::string& role, std::size_t count) {
  std::vector<npy::Array> arrays;
  for (std::size_t i = 0; i < count; ++i)
    arrays.push_back(npy::read(folder / (role + "_" + std::to_string(i) + ".npy")));
  return arrays;
}

// The user's own arrays, for which nothing is expected; or the test data beside the model.
std::vector<Set> sets(const Model& model, const Options& options) {
  if (!options.arrays.empty()) {
    if (options.arrays.size() != model.inputs().size())
      throw std::runtime_error("the model has " + std::to_string(model.inputs().size()) + " inputs");
    Set own{"your inputs", {}, {}};
    for (const auto& file : options.arrays) own.inputs.push_back(npy::read(file));
    return {own};
  }
  std::vector<Set> data;
  for (int number = 0;; ++number) {
    const auto name = "test_data_set_" + std::to_string(number);
    const auto folder = options.folder / name;
    if (!fs::is_directory(folder)) return data;
    data.push_back({name, read(folder, "input", model.inputs().size()),
                    read(folder, "output", model.outputs().size())});
  }
}

template <typename T>
T at(const npy::Array& array, std::size_t i) {
  T value;
  std::memcpy(&value, array.data.data() + i * sizeof(T), sizeof(T));
  return value;
}

// The number whose float16 has these bits: sign, 5 bits of exponent, 10 of fraction.
double half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double size = exponent == 31  ? (fraction ? NAN : INFINITY)
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -size : size;
}

double number(const npy::Array& array, std::size_t i) {
  switch (array.type[1]) {
    case 'f':
      if (array.type[2] == '8') return at<double>(array, i);
      return array.type[2] == '4' ? at<float>(array, i) : half(at<std::uint16_t>(array, i));
    case 'i':
      if (array.type[2] == '8') return static_cast<double>(at<std::int64_t>(array, i));
      if (array.type[2] == '4') return at<std::int32_t>(array, i);
      return array.type[2] == '2' ? at<std::int16_t>(array, i) : at<std::int8_t>(array, i);
    default:
      if (array.type[2] == '8') return static_cast<double>(at<std::uint64_t>(array, i));
      if (array.type[2] == '4') return at<std::uint32_t>(array, i);
      return array.type[2] == '2' ? at<std::uint16_t>(array, i) : at<std::uint8_t>(array, i);
  }
}

void show(const std::string& name, const npy::Array& array) {
  std::cout << "  " << name << ": " << array.type << " ";
  for (std::size_t i = 0; i < array.shape.size(); ++i) std::cout << (i ? "×" : "") << array.shape[i];
  const auto elements = npy::count(array.shape);
  for (std::size_t i = 0; i < std::min<std::size_t>(elements, 6); ++i)
    std::cout << (i ? ", " : "  ") << number(array, i);
  std::cout << (elements > 6 ? " …\n" : "\n");
}

double distance(const std::vector<npy::Array>& got, const std::vector<npy::Array>& expected) {
  double largest = 0;
  for (std::size_t k = 0; k < got.size(); ++k) {
    if (got[k].shape != expected[k].shape) return INFINITY;
    for (std::size_t i = 0; i < npy::count(got[k].shape); ++i) {
      const double off = std::abs(number(got[k], i) - number(expected[k], i));
      if (std::isnan(off)) return off;
      largest = std::max(largest, off);
    }
  }
  return largest;
}

// The median time of a call: a mean would also tell what else the machine did.
double milliseconds(Model& model, std::vector<npy::Array>& inputs, int calls) {
  std::vector<double> times;
  for (int i = 0; i < std::max(1, calls); ++i) {
    const auto start = std::chrono::steady_clock::now();
    model.run(inputs);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

int main(int count, char** words) try {
  const auto options = parse(count, words);
  Model model(options.folder / "model" / "model.onnx", options.threads);
  std::cout << "model.onnx on onnxruntime " << OrtGetApiBase()->GetVersionString() << ", "
            << options.threads << (options.threads == 1 ? " thread\n" : " threads\n");
  for (auto& set : sets(model, options)) {
    const auto outputs = model.run(set.inputs);
    std::cout << set.name << "\n";
    for (std::size_t i = 0; i < set.inputs.size(); ++i) show(model.inputs()[i], set.inputs[i]);
    for (std::size_t i = 0; i < outputs.size(); ++i) show(model.outputs()[i], outputs[i]);
    if (!set.expected.empty())
      std::cout << "  largest difference from the expected outputs: "
                << distance(outputs, set.expected) << "\n";
    std::cout << "  " << milliseconds(model, set.inputs, options.calls)
              << " ms a call, the median of " << std::max(1, options.calls) << "\n";
    if (options.output.empty()) continue;
    fs::create_directories(options.output / set.name);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      npy::write(options.output / set.name / ("output_" + std::to_string(i) + ".npy"), outputs[i]);
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << "\n";
  return 1;
}
