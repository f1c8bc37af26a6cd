// The network in model.onnx, by ONNX Runtime on the CPU.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "npy.hpp"

class Model {
 public:
  explicit Model(const std::filesystem::path& file, int threads = 1)
      : env_(environment()), session_(env_, file.c_str(), options(threads)) {
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t i = 0; i < session_.GetInputCount(); ++i)
      inputs_.emplace_back(session_.GetInputNameAllocated(i, allocator).get());
    for (std::size_t i = 0; i < session_.GetOutputCount(); ++i)
      outputs_.emplace_back(session_.GetOutputNameAllocated(i, allocator).get());
  }

  const std::vector<std::string>& inputs() const { return inputs_; }
  const std::vector<std::string>& outputs() const { return outputs_; }

  // Inputs in the order of inputs(), outputs in that of outputs(). The arrays are not copied on
  // their way in. Throws Ort::Exception for another type or shape than the model takes. May be
  // called from several threads.
  std::vector<npy::Array> run(std::vector<npy::Array>& arrays) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<Ort::Value> values;
    for (auto& array : arrays)
      values.push_back(Ort::Value::CreateTensor(memory, array.data.data(), array.data.size(),
                                                array.shape.data(), array.shape.size(),
                                                element(array.type)));
    const auto in = pointers(inputs_), out = pointers(outputs_);
    const auto results = session_.Run(Ort::RunOptions{nullptr}, in.data(), values.data(),
                                      values.size(), out.data(), out.size());
    std::vector<npy::Array> outputs;
    for (const auto& result : results) outputs.push_back(array_of(result));
    return outputs;
  }

 private:
  Ort::Env env_;
  Ort::Session session_;
  std::vector<std::string> inputs_, outputs_;

  static Ort::Env environment() {
    // Official builds report usage to their maker unless this is set before the first call; it is
    // only a default, so that you can decide otherwise.
#ifdef _WIN32
    if (!std::getenv("ORT_DISABLE_TELEMETRY")) _putenv_s("ORT_DISABLE_TELEMETRY", "1");
#else
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
#endif
    return Ort::Env(ORT_LOGGING_LEVEL_WARNING, "client");
  }

  static Ort::SessionOptions options(int threads) {
    Ort::SessionOptions session;
    session.SetIntraOpNumThreads(threads);
    session.SetInterOpNumThreads(1);
    return session;
  }

  // numpy's names of types and ONNX's numbers.
  static const std::map<std::string, ONNXTensorElementDataType>& types() {
    static const std::map<std::string, ONNXTensorElementDataType> known = {
        {"<f2", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16}, {"<f4", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
        {"<f8", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},  {"|i1", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
        {"<i2", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},   {"<i4", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
        {"<i8", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},   {"|u1", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
        {"<u2", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},  {"<u4", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
        {"<u8", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64},  {"|b1", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
    };
    return known;
  }

  static ONNXTensorElementDataType element(const std::string& type) {
    const auto entry = types().find(type);
    if (entry == types().end()) throw std::runtime_error("arrays of the type " + type + " are not fed");
    return entry->second;
  }

  static npy::Array array_of(const Ort::Value& value) {
    const auto info = value.GetTensorTypeAndShapeInfo();
    for (const auto& [type, number] : types()) {
      if (number != info.GetElementType()) continue;
      npy::Array array{type, info.GetShape(), {}};
      array.data.resize(npy::count(array.shape) * npy::item_size(type));
      if (!array.data.empty())
        std::memcpy(array.data.data(), value.GetTensorRawData(), array.data.size());
      return array;
    }
    throw std::runtime_error("an output is of a type that .npy files do not hold");
  }

  static std::vector<const char*> pointers(const std::vector<std::string>& names) {
    std::vector<const char*> texts;
    for (const auto& name : names) texts.push_back(name.c_str());
    return texts;
  }
};
